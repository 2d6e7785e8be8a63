"""Temporally rescaled error: how much each step of a sequence counts.

Wang, Yan. Improve Long-term Memory Learning Through Rescaling the Error Temporally. arXiv 2307.11462: the error at step
t of n is weighted by w_t proportional to t^p with mean 1. For a causal linear functional under white noise the error
then weighs the memory at lag s by b(s) = sum of w_t over t > s: never increasing, flat only where p is infinite. The
price is a smaller effective number of loss terms.
"""

import math

import torch
from torch import Tensor

from hail_study.study.configuration import Objective as Settings


def temporal_weights(real: Tensor, p: float) -> Tensor:
    """Weights [..., L] of the real steps, t^p with mean 1 in each row and 0 elsewhere.

    Args:
        real: [..., L] bool; t counts the real steps of a row from 1.
        p: Any number; infinity keeps the last step alone.
    """
    steps, counts = real.cumsum(-1), real.sum(-1, keepdim=True)
    if math.isinf(p):
        return ((steps == counts) & real) * counts.float()
    raised = torch.where(real, (steps.clamp_min(1) / counts.clamp_min(1)).float().pow(p), 0.0)
    return raised * counts / raised.sum(-1, keepdim=True).clamp_min(torch.finfo(raised.dtype).tiny)


def effective_terms(weights: Tensor) -> Tensor:
    """(sum of w)^2 / sum of w^2 over the last axis: how many equally weighted steps would average as well."""
    return weights.sum(-1).square() / weights.square().sum(-1).clamp_min(torch.finfo(weights.dtype).tiny)


def memory_bias(weights: Tensor) -> Tensor:
    """b(s) for s = 0 ... T - 1, normalised to sum 1, of the weights [T] of T steps."""
    later = weights.flip(0).cumsum(0).flip(0)  # sum of w_t over t > s
    return later / later.sum()


class Temporal:
    """The weights of a study's `objective.temporal` in the course of a training.

    Args:
        settings: The study's `objective` section.
        steps: Optimiser steps of the whole training, over which a curriculum runs.
    """

    def __init__(self, settings: Settings, steps: int) -> None:
        self._p = float(settings.temporal)
        self._variant = settings.temporal_variant
        self._steps = max(1, steps)

    @property
    def idle(self) -> bool:
        """Every step counts alike."""
        return self._p == 0

    @property
    def scales_logits(self) -> bool:
        """The weights scale the logits instead of the loss, as in the authors' code for cross-entropy."""
        return self._variant == "logits"

    def exponent(self, step: int) -> float:
        """p at an optimiser step."""
        progress = min(1.0, step / self._steps)
        if self._variant == "rising":
            return self._p * progress
        return self._p * (1 - progress) if self._variant == "falling" else self._p

    def weights(self, real: Tensor, step: int, draws: torch.Generator) -> Tensor:
        """Weights [..., L] of the real steps [..., L] at an optimiser step; `draws` permutes those of the control."""
        weights = temporal_weights(real, self.exponent(step))
        return permuted(weights, real, draws) if self._variant == "permuted" else weights


def permuted(weights: Tensor, real: Tensor, draws: torch.Generator) -> Tensor:
    """The real steps' weights [..., L] in a random order within each row."""
    keys = torch.rand(real.shape, generator=draws, device=draws.device).to(real.device)
    source = keys.masked_fill(~real, 2).argsort(-1)  # real steps in random order, then the rest
    target = (~real).to(torch.uint8).argsort(dim=-1, stable=True)  # real steps in their own order, then the rest
    return torch.zeros_like(weights).scatter(-1, target, weights.gather(-1, source))
