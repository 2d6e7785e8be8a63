"""Every encoder and coupling of the catalogue conforms, and the suites notice those that do not."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hail_study.models import Encoder
from hail_study.models.layers import Linear
from hail_study.objectives.couplings import Chunk, Coupling, Terms
from hail_study.objectives.couplings.arithmetic import cross_entropy
from hail_study.study import catalogue
from hail_study.study.configuration import Peers
from hail_study.testing import COUPLING_CHECKS, ENCODER_CHECKS, every, failures, registered, settings_of

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "independent": [{}],
    "med": [
        {},
        {"terms": "positive"},
        {"terms": "negative", "gamma": 0.5},
        {"gamma": 2.0, "alpha": 0.0},
        {"belief": "self"},
        {"belief": "uniform"},
        {"belief": "shuffled"},
        {"belief": "frozen"},
        {"alpha_decay": 2, "alpha": 1.0},
    ],
    "mutual": [{}],
    "unlikelihood": [{}],
    "co-teaching": [{}],
    "one": [{}, {"temperature": 1.0}],
    "okddip": [{}],
    "kdcl": [{"teacher": "best"}, {"teacher": "minimum"}, {"teacher": "linear"}],
    "pcl": [{}],
    "boosted": [{}],
    "rescaled": [{"scale": 1.7}],
}


@pytest.mark.parametrize("name", every("encoders"))
def test_every_encoder_conforms(name):
    assert not failures(ENCODER_CHECKS, catalogue.resolve(catalogue.ENCODERS[name]))


@pytest.mark.parametrize("name", every("couplings"))
def test_every_coupling_conforms(name):
    kind = catalogue.resolve(catalogue.COUPLINGS[name])
    for settings in VARIANTS[name]:
        assert not failures(COUPLING_CHECKS, kind(settings_of(coupling=name, **settings))), settings


def test_every_catalogue_entry_resolves_to_the_right_kind():
    assert all(issubclass(catalogue.resolve(target), Encoder) for target in catalogue.ENCODERS.values())
    assert all(issubclass(catalogue.resolve(target), Coupling) for target in catalogue.COUPLINGS.values())


def test_the_encoders_without_a_head_are_those_that_say_so():
    kinds = {name: catalogue.resolve(target) for name, target in catalogue.ENCODERS.items()}
    assert {name for name, kind in kinds.items() if kind.head == "none"} == catalogue.HEADLESS


class Honest(Encoder):
    """One linear layer on each item: a conforming encoder outside the package."""

    def __init__(self, settings, slots, max_length, streams):
        super().__init__(settings, slots, max_length, streams)
        self.dense = Linear(slots, settings.dim, settings.dim)

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return x + self.dense(x)


class Peeking(Honest):
    """Adds the next item's vector."""

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return x + self.dense(x) + torch.nn.functional.pad(x[:, :, 1:], (0, 0, 0, 1))


class Mixing(Honest):
    """Averages over slots."""

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return x + self.dense(x) + x.mean(0, keepdim=True)


class Careless(Honest):
    """Draws its dropout from the process."""

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return torch.nn.functional.dropout(x + self.dense(x), 0.5, self.training)


class Summing(Honest):
    """Gives one state a sequence."""

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        return (x + self.dense(x)).sum(2, keepdim=True)


class Unused(Honest):
    """Has a layer that it does not use."""

    def __init__(self, settings, slots, max_length, streams):
        super().__init__(settings, slots, max_length, streams)
        self.spare = Linear(slots, settings.dim, settings.dim)


def test_a_third_partys_encoder_conforms():
    assert not failures(ENCODER_CHECKS, Honest)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Peeking, {"nothing leaks from the future", "nothing leaks from padding"}),
        (Mixing, {"slots do not touch", "stacked is looped", "seeds decide"}),
        (Careless, {"seeds decide", "dropout resumes"}),
    ],
)
def test_the_encoder_suite_notices(kind, expected):
    assert set(failures(ENCODER_CHECKS, kind)) == expected


class Wrong(Coupling):
    """Cross-entropy with a gradient that is not its own, and a logarithm that is not safe."""

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": 1.0}

    def loss(self, chunk: Chunk) -> Terms:
        p = chunk.logits.softmax(-1)
        return {
            "cross_entropy": -p.gather(-1, chunk.targets[:, None, :, None].expand(-1, p.shape[1], -1, 1))[..., 0].log()
        }

    def gradient(self, chunk: Chunk):
        return {name: term.detach() for name, term in self.loss(chunk).items()}, (-chunk.logits, {})


@pytest.mark.parametrize(
    ("kind", "check"),
    [(Summing, "states have the shape of the inputs"), (Unused, "every weight learns")],
)
def test_the_encoder_suite_notices_this_too(kind, check):
    one = next(one for one in ENCODER_CHECKS if one.__name__ == check.replace(" ", "_"))
    assert check in failures([one], kind)


class Own(Coupling):
    """Cross-entropy: a conforming coupling outside the package."""

    def weights(self, step: int) -> dict[str, float]:
        return {"cross_entropy": 1.0}

    def loss(self, chunk: Chunk) -> Terms:
        return {"cross_entropy": cross_entropy(chunk.logits, chunk.targets)}


class Unnamed(Own):
    def weights(self, step: int) -> dict[str, float]:
        return {"loss": 1.0}


class Coarse(Own):
    def loss(self, chunk: Chunk) -> Terms:
        return {"cross_entropy": cross_entropy(chunk.logits + 1e5 - 1e5, chunk.targets)}


class Neighbourly(Own):
    def loss(self, chunk: Chunk) -> Terms:
        return {"cross_entropy": cross_entropy(chunk.logits + chunk.logits.roll(1, 0), chunk.targets)}


class Uphill(Own):
    def gradient(self, chunk: Chunk):
        terms, (first, rest) = super().gradient(chunk)
        return terms, (-first, rest)


def test_a_third_partys_coupling_conforms():
    assert not failures(COUPLING_CHECKS, Own(Peers()))


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Unnamed, "terms are named and shaped"),
        (Coarse, "single precision is enough"),
        (Neighbourly, "trials do not touch"),
        (Uphill, "a small step down the gradient helps"),
    ],
)
def test_the_coupling_suite_notices_this_too(kind, check):
    assert check in failures(COUPLING_CHECKS, kind(Peers()))


def test_the_coupling_suite_notices():
    found = set(failures(COUPLING_CHECKS, Wrong(Peers())))
    assert {"gradient is that of the loss", "extreme scores stay finite"} <= found


def test_registering_leaves_no_trace():
    before = dict(catalogue.ENCODERS)
    with registered(catalogue.ENCODERS, Honest) as name:
        assert catalogue.resolve(catalogue.ENCODERS[name]) is Honest
    assert before == catalogue.ENCODERS
