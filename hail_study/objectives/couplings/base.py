"""What a coupling is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Final, Literal

import torch
from torch import Tensor

from hail_study.study.configuration import Peers

Terms = dict[str, Tensor]
"""Name of a loss term -> its value at each target, [T, K, n]."""
Gradients = tuple[Tensor, dict[str, Tensor]]
"""In the logits, [T, K, n, C], and in each mixture."""

Weight = float | Tensor
"""The same for all trials of a stack, or each trial's own, [T, 1, 1, 1]."""

_ALPHA_DECAY: Final = 0.98
OWN: Final = ("alpha", "gamma")
"""Settings in which the trials of a stack may differ."""


@dataclass(frozen=True)
class Chunk:
    """What a coupling sees of a few targets: K peers' scores of the same C candidates.

    Attributes:
        logits: [T, K, n, C] float32.
        targets: [T, n] int64, index of the right candidate.
        step: Optimiser steps done.
        items: V, the size of the catalogue (C is smaller where candidates are sampled).
        mixtures: What the coupling asks for: `gate` [T, n, K] or `attention` [T, n, K, K], logits, differentiable.
        teacher: Where the coupling asks for one: its logits of the same candidates, [T, K, n, C].
        earlier: Where the coupling asks for it: candidates in the history before the target, [T, n, C] bool.
    """

    logits: Tensor
    targets: Tensor
    step: int = 0
    items: int = 0
    mixtures: Mapping[str, Tensor] = field(default_factory=dict)
    teacher: Tensor | None = None
    earlier: Tensor | None = None


class Coupling:
    """Loss of K peers at the same targets, given their scores of the same candidates.

    The objective hands over a few targets at a time. A coupling implements `weights` and `loss`, and autograd
    differentiates it chunk by chunk; one whose gradient has a closed form overrides `gradient` as well, which is
    several times faster. `hail_study.testing` checks that the two agree.

    Args:
        settings: The study's `peers` section.

    Attributes:
        mixture: What the network computes from the peers' states for this coupling: `gate`, weights of the peers, or
            `attention`, weights of the others for each peer.
        history: Whether the coupling looks at the items before each target.
        teacher: Whose scores it also needs: an `average` of the peers' weights over the steps, the peers `frozen`
            after `peers.freeze` steps, or the peers `elsewhere`, at a target half a batch away.
    """

    mixture: ClassVar[Literal["gate", "attention"] | None] = None
    history: ClassVar[bool] = False
    teacher: Literal["average", "frozen", "elsewhere"] | None = None

    def __init__(self, settings: Peers) -> None:
        self.settings = settings
        self._own: Mapping[str, Tensor] = {}

    def differ(self, settings: Sequence[Peers], device: torch.device) -> None:
        """Let the trials of a stack have an alpha and gamma of their own; all else is the same for them."""
        levels = {name: [getattr(one, name) for one in settings] for name in OWN}
        self._own = {
            name: torch.tensor(each, device=device).view(-1, 1, 1, 1)
            for name, each in levels.items()
            if len(set(each)) > 1
        }

    @property
    def alike(self) -> bool:
        """Whether all trials of the stack have the same alpha and gamma."""
        return not self._own

    def setting(self, name: str) -> Weight:
        """One of `OWN`: of all trials, or each its own."""
        found: Weight = self._own.get(name, getattr(self.settings, name))
        return found

    def weights(self, step: int) -> Mapping[str, Weight]:
        """Weight of each term of `loss` in the total at a step."""
        raise NotImplementedError

    def loss(self, chunk: Chunk) -> Terms:
        """Terms of the loss, differentiable in the logits (and the mixture).

        What a peer gives to the others must be detached here.
        """
        raise NotImplementedError

    def gradient(self, chunk: Chunk) -> tuple[Terms, Gradients]:
        """Terms [T, K, n], and the gradients of their weighted sum.

        Called without autograd. May use the storage of the logits for its results.
        """
        with torch.enable_grad():
            logits = chunk.logits.detach().requires_grad_()
            mixtures = {name: mixture.detach().requires_grad_() for name, mixture in chunk.mixtures.items()}
            terms = self.loss(replace(chunk, logits=logits, mixtures=mixtures))
            weights = self.weights(chunk.step)
            total = torch.stack([_summed(term, weights[name]) for name, term in terms.items()]).sum()
            first, *rest = torch.autograd.grad(total, [logits, *mixtures.values()], materialize_grads=True)
        return {name: term.detach() for name, term in terms.items()}, (first, dict(zip(mixtures, rest, strict=True)))

    def selects(self, step: int) -> bool:
        """Whether targets are chosen by their cross-entropy at this step."""
        return False

    def select(self, surprise: Tensor, real: Tensor, step: int, users: int) -> Tensor:
        """Which targets each peer trains on.

        Args:
            surprise: [T, K, N] cross-entropy of each peer at each target of the batch.
            real: [T, N] bool, false where an entry only pads the stack.
            step: Optimiser steps done.
            users: B, sequences of each trial in the batch.

        Returns:
            [T, K, N] bool.
        """
        raise NotImplementedError

    def alpha(self, step: int) -> Weight:
        """Weight of cross-entropy at a step: `peers.alpha`, falling by 2 % every `peers.alpha_decay` steps."""
        decay = self.settings.alpha_decay
        return self.setting("alpha") * (_ALPHA_DECAY ** (step // decay) if decay else 1)

    def ramp(self, step: int) -> float:
        """Share of a term that grows in over `peers.ramp` steps, exp(-5 (1 - t)^2) (Laine and Aila, ICLR 2017)."""
        length = self.settings.ramp
        return math.exp(-5 * max(0.0, 1 - step / length) ** 2) if length else 1.0


def _summed(term: Tensor, weight: Weight) -> Tensor:
    """A term [T, K, n] weighed."""
    return (weight[..., 0] * term).sum() if isinstance(weight, Tensor) else weight * term.sum()


def plus(x: Tensor, y: Tensor, weight: Weight) -> Tensor:
    """x + weight y, in the storage of x; both [T, K, n, C]."""
    return x.addcmul_(y, weight) if isinstance(weight, Tensor) else x.add_(y, alpha=weight)
