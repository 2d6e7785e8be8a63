"""Losses without all the scores: a few targets at a time, forward and backward together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.autograd import Function

from hail_study.objectives.couplings.arithmetic import cross_entropy
from hail_study.objectives.couplings.base import Chunk, Coupling, Weight
from hail_study.objectives.scores import AllItems, SampledItems, Scores

CHUNK: Final = {"cpu": 1 << 19, "cuda": 1 << 26}
"""Scores held at a time. On a CPU 2 MB: the fastest of 2^15 to 2^22 for 400 and 3416 items, in a flat optimum."""


@dataclass(frozen=True)
class Problem:
    """Everything about a batch that its loss depends on but is not differentiated in.

    Attributes:
        coupling: Loss of a chunk.
        targets: [T, N] items.
        weights: [T, N], or [T, K, N] where peers weigh targets differently; None weighs all alike.
        step: Optimiser steps done.
        chunk: Scores held at a time; None leaves it to the device.
        users: B, sequences of each trial.
        negatives: [T, M] or [T, N, M] items to score beside the target; None scores all.
        log_frequency: [T, V + 1] of the negatives' sampling, or None.
        teacher: States [S, N, D] and tables [T, J, V + 1, D] of other networks for the same targets.
        history: Inputs [T, B, L] and flat positions [T, N] of the states, for the items before a target.
    """

    coupling: Coupling
    targets: Tensor
    weights: Tensor | None = None
    step: int = 0
    chunk: int | None = None
    users: int = 0
    negatives: Tensor | None = None
    log_frequency: Tensor | None = None
    teacher: tuple[Tensor, Tensor] | None = None
    history: tuple[Tensor, Tensor] | None = None

    def scores(self, tables: Tensor) -> Scores:
        """Scores by tables [T, J, V + 1, D]."""
        if self.negatives is None:
            return AllItems(tables, self.targets)
        return SampledItems(tables, self.targets, self.negatives, self.log_frequency)

    def pieces(self, floats: int) -> Iterator[slice]:
        """Slices of the targets, evenly sized, each holding about `chunk` numbers if a target takes `floats`."""
        count = self.targets.shape[1]
        budget = self.chunk or CHUNK[self.targets.device.type]
        width = -(-count // max(1, -(-count * floats // budget)))
        yield from (slice(start, start + width) for start in range(0, count, width))

    def earlier(self, piece: slice, items: int) -> Tensor | None:
        """Items up to each target's state in its sequence, [T, n, V] bool."""
        if self.history is None:
            return None
        inputs, positions = self.history
        length = inputs.shape[-1]
        row, column = positions[:, piece] // length, positions[:, piece] % length  # [T, n]
        before = inputs.gather(1, row[..., None].expand(-1, -1, length))  # [T, n, L]
        before = before.masked_fill(torch.arange(length, device=before.device) > column[..., None], 0)
        found = torch.zeros(*row.shape, items + 2, dtype=torch.bool, device=before.device)
        return found.scatter_(-1, before, True)[..., 1:-1]  # neither padding nor mask


def chunked_loss(
    states: Tensor, tables: Tensor, mixtures: Mapping[str, Tensor], problem: Problem
) -> tuple[Tensor, dict[str, Tensor]]:
    """Sum over slots of the weighted mean loss, and its terms.

    The scores of a few targets are computed, turned into loss and gradient, and dropped: there are never more of them
    than `Problem.chunk` (times the few temporaries of the coupling), however many targets and items there are.
    Gradients are accumulated in the forward pass; the backward pass only scales them.

    Args:
        states: [S, N, D].
        tables: [T, J, V + 1, D], J = 1 where a trial's peers share one; row 0 is never scored.
        mixtures: Name -> [T, N, ...], for couplings that ask for them.
        problem: The rest.

    Half precision is computed in single, double in double.

    Returns:
        The scalar total and {name: [S] detached means}.
    """
    parts: dict[str, Tensor] = {}
    inputs = [_at_least_single(one) for one in (states, tables, *mixtures.values())]
    arguments = (problem, parts, list(mixtures), *inputs)
    total: Tensor = _Chunked.apply(*arguments)  # type: ignore[no-untyped-call]
    return total, parts


class _Chunked(Function):
    @staticmethod
    def forward(
        ctx: Any,
        problem: Problem,
        parts: dict[str, Tensor],
        names: list[str],
        states: Tensor,
        tables: Tensor,
        *mixtures: Tensor,
    ) -> Tensor:
        trials = len(problem.targets)
        grouped = states.view(trials, -1, *states.shape[1:])  # [T, K, N, D]
        scores = problem.scores(tables)
        mean = shares(problem, scores, grouped)  # [T, K, N]
        state_gradient = torch.empty_like(grouped)
        mixture_gradients = [torch.empty_like(mixture) for mixture in mixtures]
        for piece, chunk in _chunks(problem, scores, grouped, dict(zip(names, mixtures, strict=True))):
            terms, (gradient, mixed) = problem.coupling.gradient(chunk)
            weight = mean[:, :, piece, None]  # [T, K, n, 1]
            for name, term in terms.items():
                value = (term * weight[..., 0]).sum(-1).flatten()  # [S]
                parts[name] = parts[name] + value if name in parts else value
            state_gradient[:, :, piece] = scores.back(gradient, grouped[:, :, piece], weight, piece)
            for name, whole in zip(names, mixture_gradients, strict=True):
                share = weight[:, 0].view(*weight[:, 0, :, 0].shape, *[1] * (whole.dim() - 2))
                whole[:, piece] = mixed[name] * share
        ctx.save_for_backward(state_gradient.view(states.shape), scores.table_gradient, *mixture_gradients)
        scale = problem.coupling.weights(problem.step)
        return torch.stack([_weighed(scale[name], part, trials) for name, part in parts.items()]).sum()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *[gradient * outer[0] for gradient in ctx.saved_tensors]


def per_trial(weight: Weight, part: Tensor, trials: int) -> Tensor:
    """A term [S] of T trials, weighed."""
    if isinstance(weight, Tensor):
        return (weight.view(trials, 1) * part.view(trials, -1)).flatten()
    return weight * part


def _weighed(weight: Weight, part: Tensor, trials: int) -> Tensor:
    return per_trial(weight, part, trials).sum() if isinstance(weight, Tensor) else weight * part.sum()


def _chunks(
    problem: Problem, scores: Scores, grouped: Tensor, mixtures: Mapping[str, Tensor]
) -> Iterator[tuple[slice, Chunk]]:
    """The batch, a few targets at a time."""
    taught, teacher = None, None
    if problem.teacher is not None:
        taught = _at_least_single(problem.teacher[0]).view_as(grouped)
        teacher = problem.scores(_at_least_single(problem.teacher[1]))
    for piece in problem.pieces(len(grouped) * grouped.shape[1] * scores.floats):
        chunk = Chunk(
            scores.forward(grouped[:, :, piece], piece),
            scores.right(piece),
            problem.step,
            scores.items,
            {name: mixture[:, piece] for name, mixture in mixtures.items()},
            None if taught is None or teacher is None else teacher.forward(taught[:, :, piece], piece),
            problem.earlier(piece, scores.items),
        )
        yield piece, chunk


def shares(problem: Problem, scores: Scores, grouped: Tensor) -> Tensor:
    """Each target's share of its peer's mean, [T, K, N], at states [T, K, N, D]."""
    trials, peers, count = grouped.shape[:3]
    if problem.weights is None and not problem.coupling.selects(problem.step):
        return torch.full((trials, peers, count), 1 / count, device=grouped.device)
    weights = torch.ones(trials, count, device=grouped.device) if problem.weights is None else problem.weights
    shares = (weights if weights.dim() == 3 else weights[:, None]).expand(-1, peers, -1)
    if problem.coupling.selects(problem.step):
        surprise = torch.empty(trials, peers, count, device=grouped.device)
        for piece in problem.pieces(trials * peers * scores.floats):
            surprise[:, :, piece] = cross_entropy(scores.forward(grouped[:, :, piece], piece), scores.right(piece))
        shares = shares * problem.coupling.select(surprise, (shares > 0).any(1), problem.step, problem.users)
    return shares / shares.sum(-1, keepdim=True).clamp_min(1e-12)


def _at_least_single(x: Tensor) -> Tensor:
    return x if x.dtype == torch.float64 else x.float()
