"""Checks of a task: it continues to the bit, leaves the test alone, learns, and ignores no factor silently."""

import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final
from unittest import SkipTest

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from hail_study.data import Examples, Prepared, prepare
from hail_study.data.sets import split_by_targets
from hail_study.study import Configuration, StudyError, configure
from hail_study.study.measures import measures, validated
from hail_study.study.tasks import misfits, task_of
from hail_study.tasks import Diverged
from hail_study.testing.factors import every_ignored
from hail_study.testing.sources import small as small_data
from hail_study.training import Trial

_SEED: Final = 3
_KEPT: Final = ("ranks.parquet", "outcomes.parquet")
"""Files with a row for each test example."""


def continues_to_the_bit(configuration: Configuration) -> None:
    """Saved after its first epoch and continued in another trial, a training ends in the same bits."""
    data = prepare(configuration.data)
    whole = _trained(configuration, data)
    begun = Trial(configuration, data, _SEED)
    begun.step()
    continued = Trial(configuration, data, _SEED)
    continued.load(begun.state())
    while not continued.done:
        continued.step()
    assert _history(continued) == _history(whole), "a continued training has another history"
    _same_weights(continued, whole, "a continued training ends in other weights")
    assert continued.test().metrics() == whole.test().metrics(), "a continued training has another test"


def evaluation_leaves_no_trace(configuration: Configuration) -> None:
    """It changes neither the mode, nor a weight, nor what is drawn afterwards, and says the same when asked again."""
    data = prepare(configuration.data)
    trial, plain = Trial(configuration, data, _SEED), Trial(configuration, data, _SEED)
    for one in (trial, plain):
        one.step()
    for mode in (True, False):
        trial.network.train(mode)
        before = _state(trial)
        first, again = (trial.task.evaluate("validation").metrics() for _ in range(2))
        assert trial.network.training == mode, "evaluation leaves another mode"
        assert _state(trial) == before, "evaluation changes a weight or what is drawn next"
        assert _text(first) == _text(again), "evaluated again, the same network is judged otherwise"
    for one in (trial, plain):
        one.step()
    assert _history(trial) == _history(plain), "evaluation changes what is trained afterwards"


def test_examples_are_left_alone(configuration: Configuration) -> None:
    """Other test examples change nothing that is trained, chosen or reported before the test."""
    data = prepare(configuration.data)
    found = _trained(configuration, data)
    other = _trained(configuration, _with_another_test(data, configuration))
    assert _history(other) == _history(found), "test examples have a say in the training"
    assert other.best_epoch == found.best_epoch, "test examples have a say in which epoch is best"
    _same_weights(other, found, "test examples have a say in the weights")


def the_loss_falls(configuration: Configuration) -> None:
    """In its own training: on the task's generated data the last epoch's loss is below the first's."""
    history = _trained(configuration, prepare(configuration.data)).history
    first, last = history[0]["loss/total"], history[-1]["loss/total"]
    assert last < first, f"the loss goes from {first:.4g} to {last:.4g}"


def seeds_decide(configuration: Configuration) -> None:
    """The same seed gives the same training and test to the bit, whatever the process draws; another gives another."""
    data = prepare(configuration.data)
    torch.manual_seed(1)
    found = _trained(configuration, data)
    torch.manual_seed(2)
    np.random.seed(2)  # noqa: NPY002
    again, other = _trained(configuration, data), _trained(configuration, data, _SEED + 1)
    assert _history(again) == _history(found), "the same seed gives another history"
    assert _text(again.test().metrics()) == _text(found.test().metrics()), "the same seed gives another test"
    assert _history(other) != _history(found), "another seed gives the same history"


def one_peer_is_enough(configuration: Configuration) -> None:
    """One network trains, is judged, and is not called a peer."""
    trial = _of(configuration, 1)
    found = trial.validation() | trial.test().metrics()
    assert not any("peer_" in name for name in found), "a network by itself is called a peer"
    assert trial.task.evaluate("validation").metrics(), "nothing is measured"


def two_peers_are_named(configuration: Configuration) -> None:
    """Two networks train, differ, and each is judged beside both together."""
    trial = _of(configuration, 2)
    select = configuration.evaluation.select
    differ = False
    for found in (trial.task.evaluate("validation").metrics(), trial.test().metrics()):
        missing = {select, f"peer_0/{select}", f"peer_1/{select}"} - set(found)
        assert not missing, f"not measured: {', '.join(sorted(missing))}"
        differ |= _text(_of_peer(0, found)) != _text(_of_peer(1, found))
    assert differ, "both peers have the same metrics: are they one network?"


def metrics_are_known(configuration: Configuration) -> None:
    """What is measured is what a study may ask for, among it what chooses epochs; every test example has a row."""
    data = prepare(configuration.data)
    task, trial = task_of(configuration.data), _trained(configuration, data)
    validation, outcomes = trial.task.evaluate("validation").metrics(), trial.test()
    select = configuration.evaluation.select
    assert select in validation, f"validation does not measure {select}"
    for name in (*validation, *outcomes.metrics()):
        own = re.sub(r"^peer_\d+/", "", name)
        assert measures(task, own), f"{name} is measured, and no metric that a study may name"
        assert own in validated(task) or name not in validation, f"{name} is not said to be measured on validation data"
    assert all(np.isfinite(value) for value in validation.values()), "a validation metric is not finite"
    rows = {name: _rows(content) for name, content in outcomes.files().items() if name in _KEPT}
    assert rows, f"nothing is kept of the single test examples: no {' or '.join(_KEPT)}"
    expected = _test_examples(data, configuration)
    for name, found in rows.items():
        every = found > 0 if expected is None else found == expected
        assert every, f"{name} has {found} rows, not one for every test example"


def scores_that_are_no_numbers_are_an_error(configuration: Configuration) -> None:
    """A network of NaN raises `Diverged`, and is not given a rank or a mean."""
    trial = Trial(configuration, prepare(configuration.data), _SEED)
    with torch.no_grad():
        for weight in trial.network.parameters():
            weight.fill_(torch.nan)
    try:
        found = trial.task.evaluate("validation").metrics()
    except Diverged:
        return
    raise AssertionError(f"scores that are not numbers are judged: {found}")


def no_factor_is_silently_ignored(configuration: Configuration) -> None:
    """Every factor changes what is trained or measured, is neutral beside the others, or is refused."""
    found = list(every_ignored(configuration))
    assert not found, f"no difference by {'; '.join(found)}"


TASK_CHECKS: Final[tuple[Callable[[Configuration], None], ...]] = (
    continues_to_the_bit,
    evaluation_leaves_no_trace,
    test_examples_are_left_alone,
    the_loss_falls,
    seeds_decide,
    one_peer_is_enough,
    two_peers_are_named,
    metrics_are_known,
    scores_that_are_no_numbers_are_an_error,
    no_factor_is_silently_ignored,
)
"""What every task must pass, under a canonical configuration of its data that trains in a second."""

_TRAINING: Final = {"epochs": 3, "patience": 0, "batch": 20, "learning_rate": 0.02, "warmup": 1, "clip": 0.1}
_ENCODER: Final = {"dim": 8, "blocks": 1, "heads": 2, "dropout": 0.1}
_EXAMPLES: Final[dict[str, dict[str, Any]]] = {
    "next-item": {"data": {"source": "planted"}, "peers": {"coupling": "med", "inference": "best"}},
    "segments": {"data": {"source": "mosaic"}, "readout": {"paradigm": "soft"}, "select": "cross_entropy"},
    "memory": {"data": {"source": "functional"}, "objective": {"temporal": 1.0}, "select": "mse"},
    "labels": {"data": {"source": "multilabel"}, "objective": {"structure": {"method": "implicit"}}, "select": "f1"},
    "sets": {
        "data": {"source": "planted", "targets": 2, "length": 12, "users": 30},
        "objective": {"structure": {"method": "implicit", "candidates": 12, "steps": 1}},
        "peers": {"inference": "best"},
        "select": "ndcg@5",
    },
}


@contextmanager
def small(task: str) -> Iterator[Configuration]:
    """A configuration in which a task of the package trains in a second.

    Args:
        task: Its name in the catalogue.
    """
    example = dict(_EXAMPLES[task])
    select, data = example.pop("select", "ndcg@10"), example.pop("data")
    peers = {"count": 2, "coupling": "independent"} | example.pop("peers", {})
    with small_data(data["source"]) as settings:
        raw = {"encoder": _ENCODER, "training": _TRAINING, "peers": peers, "evaluation": {"select": select}} | example
        yield configure(Configuration.model_validate(raw | {"data": settings | data}), {})


def _trained(configuration: Configuration, data: Any, seed: int = _SEED) -> Trial:
    trial = Trial(configuration, data, seed)
    while not trial.done:
        trial.step()
    return trial


def _of(configuration: Configuration, peers: int) -> Trial:
    """A trial of so many peers.

    Raises:
        SkipTest: The task is learned by another number.
    """
    try:
        changed = configure(configuration, {"peers.count": peers})
    except StudyError as error:
        raise SkipTest(str(error)) from None
    refused = [reason for factor, reason in misfits(changed) if factor.startswith("peers.")]
    if refused:
        raise SkipTest(refused[0])
    return _trained(changed, prepare(changed.data))


def _history(trial: Trial) -> str:
    return _text([{name: value for name, value in one.items() if name != "seconds"} for one in trial.history])


def _text(found: Any) -> str:
    """The same for the same numbers, not-a-number included."""
    return repr(found)


def _same_weights(one: Trial, other: Trial, message: str) -> None:
    for name, weight in one.network.state_dict().items():
        assert torch.equal(weight, other.network.state_dict()[name]), f"{message}: {name}"


def _state(trial: Trial) -> str:
    """Weights, and all that is drawn from."""
    weights = [weight.detach().double().sum().item() for weight in trial.network.parameters()]
    sources = (trial.task.draws.get_state(), trial.network.random_state(), torch.get_rng_state())
    drawn = [hash(source.cpu().numpy().tobytes()) for source in sources]
    return repr((weights, drawn, trial.task.order.bit_generator.state))


def _with_another_test(data: Any, configuration: Configuration) -> Any:
    """The same data with other test examples.

    Raises:
        SkipTest: Nobody knows which they are.
    """
    if isinstance(data, Examples):
        return replace(data, test={name: _spoiled(array) for name, array in data.test.items()})
    if not isinstance(data, Prepared):
        raise SkipTest(f"{type(data).__name__} does not say which examples are for the test")
    first = _test_positions(data, configuration)
    held = np.zeros(len(data.items), dtype=np.bool_)
    for position, end in zip(first, data.offsets[1:][data.users_of(first)], strict=True):
        held[position:end] = True
    return replace(data, items=np.where(held, data.items % data.item_count + 1, data.items).astype(data.items.dtype))


def _test_positions(data: Prepared, configuration: Configuration) -> npt.NDArray[np.int64]:
    return split_by_targets(data, getattr(configuration.data, "targets", 1)).test_positions


def _test_examples(data: Any, configuration: Configuration) -> int | None:
    """How many there are; None where nobody knows."""
    if isinstance(data, Examples):
        return len(next(iter(data.test.values())))
    return len(_test_positions(data, configuration)) if isinstance(data, Prepared) else None


def _rows(parquet: bytes) -> int:
    """Of a file; none of one that is not Parquet."""
    try:
        return int(pq.read_metadata(io.BytesIO(parquet)).num_rows)
    except pa.ArrowInvalid:
        return 0


def _of_peer(peer: int, metrics: Mapping[str, float]) -> dict[str, float]:
    prefix = f"peer_{peer}/"
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


def _spoiled(array: Any) -> Any:
    return np.full_like(array, np.nan) if np.issubdtype(array.dtype, np.floating) else np.zeros_like(array)
