"""On a GPU no step waits for a number from it: the code that runs there, run here, with a watch on such questions."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hail_study.data import split
from hail_study.data.batches import in_batches, training_windows
from hail_study.models import batches, negatives, stack
from hail_study.study import catalogue, configure
from hail_study.tasks import rows
from hail_study.tasks.rows import TrainingRows
from hail_study.training import Trial

CPU = torch.device("cpu")
ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2", "unique_consecutive"}


class Watch(TorchDispatchMode):
    """Fails where a device would be asked for a number, or for how many of something there are."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert name not in ASKING, f"{name} waits for the device"
        if name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            chosen = [one for one in args[1] if one is not None]
            assert all(one.dtype not in (torch.bool, torch.uint8) for one in chosen), "a mask as index waits"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def on_gpu(monkeypatch):
    """The way of a GPU, on the CPU."""
    for module in (batches, negatives, rows, stack):
        monkeypatch.setattr(module, "waits", lambda device: True)


@contextmanager
def watched():
    """`Watch`, and what reads a CPU's memory without an operator fails, too."""
    with pytest.MonkeyPatch.context() as patch, Watch():
        for name in ("tolist", "numpy", "cpu"):
            patch.setattr(torch.Tensor, name, _refusing(name))
        yield


def _refusing(name):
    def refuse(tensor, *given):
        raise AssertionError(f"{name}() waits for the device")

    return refuse


def trial(tiny, tiny_data, **factors):
    return Trial(
        configure(tiny, {name.replace("__", "."): level for name, level in factors.items()}), tiny_data, seed=3
    )


CASES = [
    *({"encoder__name": name} for name in catalogue.ENCODERS),
    *({"peers__coupling": name} for name in catalogue.COUPLINGS),
    *({"objective__loss": name, "peers__coupling": "independent"} for name in catalogue.ITEM_LOSSES),
    {"objective__loss": "sampled-softmax", "objective__sampling": "batch", "objective__logq": True},
    {"objective__loss": "bce", "objective__shared_negatives": False, "peers__coupling": "independent"},
    {"objective__temporal": 2.0},
    {"objective__temporal": 1.0, "objective__temporal_variant": "permuted"},
    {"training__precision": "bfloat16", "training__decay": "linear", "training__warmup": 3},
    {"encoder__attention_dropout": 0.1, "peers__hidden": 0.2},
    {"peers__count": 1},
    {"peers__truncation": 0.2, "peers__inference": "gate"},
    *({"objective__auxiliary": [name]} for name in catalogue.AUXILIARIES if name not in ("domains", "contrastive")),
]


# Not here, because they do ask: a focus (how many histories differ), `contrastive` with sequences of one target and
# `domains` (both look their partners up on the host), mining of rows of different length, several seeds in one stack.


@pytest.mark.parametrize("factors", CASES, ids=str)
def test_a_step_asks_the_device_nothing(tiny, tiny_data, on_gpu, factors):
    one = trial(
        tiny, tiny_data, **({"peers__count": 4} if factors.get("peers__coupling") == "okddip" else {}) | factors
    )
    one.network.train()
    epoch = one.task.batches()
    one._train_step(next(epoch))
    with watched():
        one._train_step(next(epoch))


@pytest.mark.parametrize("encoder", ["sasrec", "bert4rec"])
def test_the_way_of_a_gpu_learns_the_same(tiny, tiny_data, request, encoder):
    """Dropout apart, which is drawn for a whole batch there, and here for each of its pieces."""
    plain = trial(tiny, tiny_data, encoder__name=encoder, encoder__dropout=0.0)
    expected = [plain._train_step(batch) for batch in plain.task.batches()]
    request.getfixturevalue("on_gpu")
    other = trial(tiny, tiny_data, encoder__name=encoder, encoder__dropout=0.0)
    found = [other._train_step(batch) for batch in other.task.batches()]
    assert len(found) == len(expected) > 2
    for mine, right in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


def test_rows_gathered_on_the_device_are_those_of_the_host(tiny_data, monkeypatch):
    windows = training_windows(tiny_data, split(tiny_data), 7, stride=3)
    groups = in_batches(windows, 32, np.random.default_rng(0))
    host = list(TrainingRows(tiny_data, windows, CPU).batches(groups))
    monkeypatch.setattr(rows, "waits", lambda device: True)
    device = list(TrainingRows(tiny_data, windows, CPU).batches(groups))
    assert len(host) == len(device) == len(groups)
    for (users, ids), (same, others) in zip(host, device, strict=True):
        assert (users == same).all()
        assert torch.equal(ids, others)


def test_places_for_masked_items_are_enough():
    """In 2,000 draws of batches none has more."""
    generator = torch.Generator().manual_seed(0)
    for rate in (0.05, 0.2, 0.6):
        drawn = (torch.rand(2000, 32, 50, generator=generator) < rate).sum(2).clamp_min(1).sum(1)
        assert drawn.max() <= batches._enough((32, 50), rate) < 32 * 50 * rate + 32 + 400
