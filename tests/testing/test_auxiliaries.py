"""The suite of auxiliary terms notices those that do not conform."""

import pytest
import torch

from hail_study.objectives.auxiliary import Auxiliary
from hail_study.testing import AUXILIARY_CHECKS, failures


class Honest(Auxiliary):
    """The mean square of a state's numbers: a conforming term outside the package."""

    source, control = "ours", "`objective.auxiliary: []`"

    def forward(self, scene):
        return scene.mean(scene.states.square().mean(-1))


class Idle(Honest):
    """Moves nothing."""

    def forward(self, scene):
        return 0 * super().forward(scene)


class Negative(Honest):
    """Below zero."""

    def forward(self, scene):
        return -super().forward(scene)


class Touching(Honest):
    """Looks at other slots."""

    def forward(self, scene):
        return super().forward(scene) + super().forward(scene).mean()


class Unseeded(Honest):
    """Draws from the process."""

    def forward(self, scene):
        return torch.rand(()) * super().forward(scene)


def test_a_term_of_ones_own_conforms():
    assert not failures(AUXILIARY_CHECKS, Honest)


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        (Idle, "a weight of nothing changes nothing"),
        (Negative, "works with every encoder"),
        (Touching, "trials do not touch"),
        (Unseeded, "seeds decide"),
    ],
)
def test_a_term_that_does_not_conform_is_noticed(kind, check):
    one = next(one for one in AUXILIARY_CHECKS if one.__name__ == check.replace(" ", "_"))
    assert check in failures([one], kind)
