"""One optimiser step of several trials whose weights are stacked."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.optim.adamw import AdamW, adamw
from torch.optim.sgd import sgd

_STATE: Final = ("exp_avg", "exp_avg_sq")


class Slotwise:
    """Steps each trial's part of a stacked network as the trial's own optimiser would.

    An optimiser of torch has one learning rate for a tensor. Here torch's fused kernels are called on each trial's
    rows, all trials with one learning rate and weight decay at once. Their state is the optimisers' own, moved into
    stacked tensors of which each trial has its rows, so that its checkpoint is what it always was.

    Args:
        network: T trials' weights, each parameter's rows those of the first trial, then of the second ...
        optimisers: The trials' own, whose parameters are those rows in the network's order.
        clips: Largest global norm of each trial's gradient; 0 does not clip.
        decays: Weight decay of each trial.
    """

    def __init__(
        self,
        network: nn.Module,
        optimisers: Sequence[torch.optim.Optimizer],
        clips: Sequence[float],
        decays: Sequence[float],
    ) -> None:
        self._optimisers, self._decays = optimisers, decays
        device = next(network.parameters()).device
        self._clips = torch.tensor(clips, device=device) if any(clips) else None
        self._whole = [weight for weight in network.parameters() if weight.requires_grad]
        wanted = [index for index, weight in enumerate(network.parameters()) if weight.requires_grad]
        theirs = [[group for groups in one.param_groups for group in groups["params"]] for one in optimisers]
        self._own = [[weights[index] for weights in theirs] for index in wanted]  # parameter, trial
        self._adaptive = isinstance(optimisers[0], AdamW)
        self._moments = [self._gathered(index) for index in range(len(self._whole))] if self._adaptive else []

    @property
    def trials(self) -> int:
        """T."""
        return len(self._optimisers)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for weight in self._whole:
            weight.grad = None

    def clip(self) -> None:
        """Scale each trial's gradients down to its largest global norm."""
        if self._clips is None:
            return
        parts = [grad.view(self.trials, -1) for _, grad in self._graded()]
        norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts], 1)  # [T, parameters]
        factor = (self._clips / (torch.linalg.vector_norm(norms, dim=1) + 1e-6)).clamp_max(1)
        factor = torch.where(self._clips > 0, factor, 1)[:, None]
        for part in parts:
            part.mul_(factor)

    def step(self, rates: Sequence[float]) -> None:
        """Move the weights, each trial's at its learning rate."""
        alike: dict[tuple[float, float], list[int]] = defaultdict(list)
        for trial, settings in enumerate(zip(rates, self._decays, strict=True)):
            alike[settings].append(trial)
        graded = [(index, grad.chunk(self.trials)) for index, grad in self._graded()]
        with torch.no_grad():
            for (rate, decay), members in alike.items():
                self._step(graded, members, rate, decay)

    # --- inside -------------------------------------------------------------------------------------------------

    def _graded(self) -> Iterator[tuple[int, Tensor]]:
        """Parameters that the loss depends on, with their gradients."""
        for index, weight in enumerate(self._whole):
            if weight.grad is not None:
                yield index, weight.grad

    def _step(
        self, graded: Sequence[tuple[int, Sequence[Tensor]]], members: Sequence[int], rate: float, decay: float
    ) -> None:
        places = [(index, trial) for index, _ in graded for trial in members]
        weights = [self._own[index][trial] for index, trial in places]
        grads = [grad[trial] for _, grad in graded for trial in members]
        common: dict[str, Any] = {"lr": rate, "weight_decay": decay, "maximize": False, "fused": True}
        if not self._adaptive:
            nothing: list[Tensor | None] = [None] * len(weights)
            sgd(weights, grads, nothing, momentum=0, dampening=0, nesterov=False, **common)
            return
        states = [self._state(index, trial) for index, trial in places]
        first, second, steps = ([state[name] for state in states] for name in (*_STATE, "step"))
        beta1, beta2 = self._optimisers[0].defaults["betas"]
        epsilon = self._optimisers[0].defaults["eps"]
        adamw(weights, grads, first, second, [], steps, amsgrad=False, beta1=beta1, beta2=beta2, eps=epsilon, **common)

    def _gathered(self, index: int) -> tuple[Tensor, ...]:
        """Stacked moments of a parameter, filled with what the trials have gathered so far."""
        whole = tuple(torch.zeros_like(self._whole[index]) for _ in _STATE)
        for trial, (weight, optimiser) in enumerate(zip(self._own[index], self._optimisers, strict=True)):
            state = optimiser.state.get(weight)
            for name, moments in zip(_STATE, whole, strict=True):
                if state:
                    part = moments.chunk(self.trials)[trial]
                    part.copy_(state[name])
                    state[name] = part
        return whole

    def _state(self, index: int, trial: int) -> dict[str, Tensor]:
        """A trial's state of a parameter, begun with its first gradient."""
        weight, optimiser = self._own[index][trial], self._optimisers[trial]
        state: dict[str, Tensor] = optimiser.state[weight]
        if not state:
            state["step"] = torch.zeros((), device=weight.device)
            for name, moments in zip(_STATE, self._moments[index], strict=True):
                state[name] = moments.chunk(self.trials)[trial]
        return state
