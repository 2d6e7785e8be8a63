"""Compiled encoders compute what the others do, drop what they drop, and step aside where they cannot."""

import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch

from hail_study.execution.compilers import lacking
from hail_study.models import PeerNetwork, compilation, family
from hail_study.models.compilation import COMPILATION, compile_modules
from hail_study.models.compiled import width_of
from hail_study.models.family import compiled_notes
from hail_study.study import catalogue
from hail_study.study.configuration import Configuration

ITEMS, USERS, LENGTH, LONGEST = 20, 3, 9, 11
IN_TURN = 1


@pytest.fixture(autouse=True)
def afterwards():
    yield
    compile_modules("none")


def built(encoder="sasrec", trials=1, **peers) -> PeerNetwork:
    attentive = 0.2 if encoder in ("sasrec", "bert4rec") else 0.0
    sections = {
        "encoder": {"name": encoder, "dim": 4, "heads": 2, "blocks": 1, "dropout": 0.3, "attention_dropout": attentive},
        "peers": {"count": 2} | peers,
        "data": {"source": "planted", "max_length": LONGEST},
    }
    return PeerNetwork(Configuration.model_validate(sections), ITEMS, list(range(trials))).train()


def ids(trials=1):
    """[T, B, L] of random lengths: padded to the longest input, which is the first length that is compiled."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, LENGTH + 1, (trials, USERS, 1), generator=generator)
    lengths[:, 0] = LENGTH
    drawn = torch.randint(1, ITEMS + 1, (trials, USERS, LENGTH), generator=generator)
    return drawn * (torch.arange(LENGTH) < lengths)


def computed(network, inputs, precision=None):
    """Real states of two steps, and the gradients of both; every step drops something else."""
    found = []
    with precision or nullcontext():
        for _ in range(2):
            states = network(inputs)
            real = (inputs != 0).repeat_interleave(network.peers, 0)
            found.append(states.float()[real])
    (found[0].square().sum() + found[1].sin().sum()).backward()
    return [*found, *(weight.grad for weight in network.parameters() if weight.grad is not None)]


def same(inputs, *arguments, backend="aot_eager", mode="default", precision=None, tolerance=1e-5, **named):
    """The network that was compiled, after it was found to compute what the other one does."""
    right = computed(built(*arguments, **named), inputs, precision)
    compile_modules(mode, backend)
    network = built(*arguments, **named)
    found = computed(network, inputs, precision)
    assert len(found) == len(right)
    for mine, other in zip(found, right, strict=True):
        torch.testing.assert_close(mine, other, rtol=tolerance, atol=tolerance * float(other.detach().abs().max()))
    return network


@pytest.mark.parametrize("encoder", catalogue.ENCODERS)
def test_every_encoder_as_one_stack(encoder):
    network = same(ids(), encoder)
    (note,) = compiled_notes(network)
    assert "compiled (default), 1 shape in" in note
    assert network.state_dict().keys() == built(encoder).state_dict().keys()


@pytest.mark.parametrize("encoder", ["bert4rec", "gru4rec"])
def test_peers_in_turn(encoder, monkeypatch):
    monkeypatch.setattr(family, "TOGETHER", IN_TURN)
    assert "compiled (default), 1 shape in" in compiled_notes(same(ids(), encoder))[0]


def test_trials_of_a_pack_and_hidden_items():
    same(ids(2), trials=2, hidden=0.3, share=[])


def test_peers_of_two_kinds():
    assert len(compiled_notes(same(ids(), encoders=["sasrec", "tcn"]))) == 2


def test_half_precision():
    same(ids(), precision=torch.autocast("cpu", dtype=torch.bfloat16), tolerance=0.05)


def by_torch() -> None:
    """In the mode that does more: on a CPU the other is a part of it."""
    network = same(ids(), backend="inductor", mode="reduce-overhead", tolerance=1e-4)
    assert "not compiled" not in compiled_notes(network)[0]


@pytest.mark.skipif(any(lacking(gpu=False)), reason="nothing here that compiles C++")
def test_the_compiler_of_torch():
    """In a process of its own, as trials have: it loads setuptools, which refuses to come after pip (Python 3.11)."""
    program = "import runpy, sys; runpy.run_path(sys.argv[1])['by_torch']()"
    run = subprocess.run([sys.executable, "-c", program, __file__], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def wrong(graph, examples):
    return lambda *given: tuple(1.01 * one for one in graph(*given))


def broken(graph, examples):
    raise RuntimeError("no such instruction\nat line 1")


@pytest.mark.parametrize(("backend", "why"), [(wrong, "compute something else"), (broken, "no such instruction")])
def test_what_fails_or_is_wrong_is_not_used(backend, why):
    network = same(ids(), backend=backend, tolerance=0)
    (note,) = compiled_notes(network)
    assert note.startswith("SASRec: not compiled (")
    assert why in note


def test_what_was_compiled_serves_the_next_trial(monkeypatch):
    compile_modules("default", "aot_eager")
    computed(built(), ids())
    spent = COMPILATION.seconds
    monkeypatch.setattr(compilation.torch, "compile", None)
    other = built()
    computed(other, ids())
    assert COMPILATION.seconds == spent > 0
    assert compiled_notes(other) == ["SASRec: compiled (default), 1 shape in 0 s"]


def test_evaluation_is_not_compiled():
    compile_modules("default", "aot_eager")
    network = built()
    with torch.no_grad():
        network(ids())
    network.eval()(ids())
    assert COMPILATION.seconds == 0


def test_nor_is_what_is_differentiated_twice():
    compile_modules("default", "aot_eager")
    terms = {"auxiliary": ["contrastive"], "contrastive": {"order": "second"}}
    network = PeerNetwork(Configuration.model_validate({"objective": terms}), ITEMS, [0])
    assert compiled_notes(network) == ["SASRec: not compiled (its gradient is differentiated)"]


def test_lengths_are_few_and_close():
    assert [width_of(length, 50) for length in (1, 8, 9, 17, 32, 33, 50)] == [8, 8, 12, 24, 32, 50, 50]
    assert width_of(3, 5) == 5
    for longest in (12, 50, 200, 1000):
        lengths = range(1, longest + 1)
        assert all(length <= width_of(length, longest) <= max(8, 1.6 * length) for length in lengths)
        assert len({width_of(length, longest) for length in lengths}) <= 15
