"""Auxiliary terms chosen step by step, by how well their gradients agree with that of the loss over the items."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives.auxiliary.base import Scene
from hail_study.objectives.weightings.base import Weighed, Weighting
from hail_study.study.configuration import Objective as Settings


class Uniform(Weighting):
    """One term a step, each as often as the others; it weighs as much as all of them together do when fixed."""

    source = "Albalak, Raffel, Wang. FLAD. NeurIPS 2023, the random baseline"
    control = "`objective.weighting: fixed`: all terms at every step"

    def policy(self) -> Tensor:
        """Probabilities of the terms, [T, A]."""
        return torch.full_like(self.fixed, 1 / len(self.names))

    def learn(self, chosen: Tensor, policy: Tensor, items: Tensor, terms: Tensor, scene: Scene) -> None:
        """Take in what the step tells of the terms `chosen` [T, A] (one-hot)."""

    def forward(self, items: Tensor, each: Tensor, terms: Tensor, scene: Scene) -> Weighed:
        policy = self.policy()
        arms = (policy.cumsum(1) <= scene.random(1) * policy.sum(1, keepdim=True)).sum(1).clamp_max(len(self.names) - 1)
        chosen = F.one_hot(arms, len(self.names)).to(terms.dtype)
        self.learn(chosen, policy, items, terms, scene)
        weights = chosen * self.fixed.sum(1, keepdim=True)
        return Weighed(items + (weights * terms).sum(), self.named(weights))


class Bandit(Uniform):
    """What EXP3 and UCB1 have in common: the reward of the term that was chosen.

    Albalak, Raffel, Wang. Improving Few-Shot Generalization by Exploring and Exploiting Auxiliary Data. NeurIPS 2023,
    arXiv 2302.00674 (FLAD), section 3: the reward is the cosine of the gradients of the target's and the auxiliary loss
    in the parameters they share, averaged exponentially with `objective.reward_momentum`. Our formulation: arms are
    terms, not data sets, the target is the loss over the items, shared are the encoders and the item embedding of all
    of a trial's peers, and the chosen term has the weight of all terms together.
    """

    source = "Albalak, Raffel, Wang. FLAD. NeurIPS 2023, section 3; terms as arms are our formulation"
    control = "`objective.weighting: uniform`: terms chosen without looking at them"

    reward: Tensor
    pulls: Tensor

    def __init__(self, settings: Settings, fixed: Mapping[str, float], trials: int) -> None:
        super().__init__(settings, fixed, trials)
        self.momentum = settings.reward_momentum
        self.register_buffer("reward", torch.zeros_like(self.fixed))
        self.register_buffer("pulls", torch.zeros_like(self.fixed))

    def learn(self, chosen: Tensor, policy: Tensor, items: Tensor, terms: Tensor, scene: Scene) -> None:
        found = agreement(items, (chosen * terms).sum(), scene)[:, None]  # [T, 1]
        averaged = torch.where(self.pulls == 0, found, self.momentum * self.reward + (1 - self.momentum) * found)
        self.reward.copy_(torch.where(chosen > 0, averaged, self.reward))
        self.pulls.add_(chosen)


class Exp3(Bandit):
    """Terms drawn by exponential weights of their importance-weighted rewards.

    R_a += r_a / pi_a for the chosen a, eps_t = min(1 / K, sqrt(ln K / (K t))), pi = (1 - K eps) softmax(eps R) + eps.
    """

    scores: Tensor

    def __init__(self, settings: Settings, fixed: Mapping[str, float], trials: int) -> None:
        super().__init__(settings, fixed, trials)
        self.register_buffer("scores", torch.zeros_like(self.fixed))

    def policy(self) -> Tensor:
        arms, turn = len(self.names), self.pulls.sum(1, keepdim=True) + 1
        explore = (math.log(arms) / (arms * turn)).sqrt().clamp_max(1 / arms)
        return (1 - arms * explore) * (explore * self.scores).softmax(1) + explore

    def learn(self, chosen: Tensor, policy: Tensor, items: Tensor, terms: Tensor, scene: Scene) -> None:
        super().learn(chosen, policy, items, terms, scene)
        self.scores.add_(chosen * self.reward / policy)


class Ucb1(Bandit):
    """The term with the largest r_a + sqrt(2 ln t / n_a), every one once before any is chosen twice."""

    def policy(self) -> Tensor:
        turn = (self.pulls.sum(1, keepdim=True) + 1).log()
        bound = self.reward + (2 * turn / self.pulls.clamp_min(1)).sqrt()
        best = torch.where(self.pulls == 0, torch.inf, bound).argmax(1)
        return F.one_hot(best, len(self.names)).to(self.reward.dtype)


def agreement(items: Tensor, term: Tensor, scene: Scene) -> Tensor:
    """Cosine [T] of two losses' gradients in the weights of a trial's encoders and item tables; 0 where one is zero."""
    weights = [weight for weight in scene.network.stack.parameters() if weight.requires_grad]
    first, second = (
        torch.autograd.grad(loss, weights, retain_graph=True, materialize_grads=True) for loss in (items, term)
    )
    one, other = (torch.cat([part.reshape(scene.network.trials, -1) for part in parts], 1) for parts in (first, second))
    return F.cosine_similarity(one, other, 1, 1e-12)
