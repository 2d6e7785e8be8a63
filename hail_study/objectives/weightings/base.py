"""What decides the weights of auxiliary terms."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from hail_study.objectives.auxiliary.base import Scene
from hail_study.study.configuration import Objective as Settings


@dataclass(frozen=True)
class Weighed:
    """A batch's loss with its auxiliary terms.

    Attributes:
        total: Scalar to minimise.
        weights: Name -> [T], the weight that each term had.
    """

    total: Tensor
    weights: dict[str, Tensor]


class Weighting(nn.Module):
    """A level of `objective.weighting`.

    It lives in the trial's network: what it learns is a parameter, what it remembers a buffer, so that both are saved
    and continued with the rest. Weights are a trial's, the same for its peers; trials are independent.

    Args:
        settings: The study's `objective` section.
        fixed: Name -> the term's weight as configured.
        trials: T.

    Attributes:
        source: Paper and equation, or "our formulation".
        control: The level that isolates what the weighting adds.
    """

    source: ClassVar[str]
    control: ClassVar[str]
    fixed: Tensor
    __call__: Callable[..., Weighed]

    def __init__(self, settings: Settings, fixed: Mapping[str, float], trials: int) -> None:
        super().__init__()
        self.names = list(fixed)
        self.register_buffer("fixed", torch.tensor([list(fixed.values())] * trials), persistent=False)  # [T, A]

    def of_items(self) -> Tensor | None:
        """Weight [T] of the loss over the items, whose gradient is scaled by it; None: 1."""
        return None

    def forward(self, items: Tensor, each: Tensor, terms: Tensor, scene: Scene) -> Weighed:
        """Put the loss together.

        Args:
            items: Scalar, the loss over the items: the sum over slots of their means. Its gradient has the weights
                `of_items`, its value has not.
            each: [T], the same of each trial, detached.
            terms: [T, A], each term summed over a trial's peers, in the order of `names`.
            scene: The batch.
        """
        raise NotImplementedError

    def named(self, weights: Tensor) -> dict[str, Tensor]:
        """[T, A] by name, detached."""
        return dict(zip(self.names, weights.detach().unbind(1), strict=True))
