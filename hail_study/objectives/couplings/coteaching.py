"""Co-teaching: each peer trains on the targets that another finds easy.

Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama. Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy
Labels. NeurIPS 2018, arXiv 1804.06872, algorithm 1.
"""

import torch
from torch import Tensor

from hail_study.objectives.couplings.arithmetic import others
from hail_study.objectives.couplings.independent import Independent


class CoTeaching(Independent):
    """Cross-entropy on the 1 - R share of targets with the smallest loss for the other peers (their mean, if several).

    R grows linearly from 0 to `peers.forget` over `peers.ramp` steps (the paper: over 10 epochs).
    """

    def forgotten(self, step: int) -> float:
        """R, the share of targets that a peer leaves out at a step."""
        ramp = self.settings.ramp
        return self.settings.forget * (min(1.0, step / ramp) if ramp else 1.0)

    def selects(self, step: int) -> bool:
        return self.forgotten(step) > 0

    def select(self, surprise: Tensor, real: Tensor, step: int, users: int) -> Tensor:
        hard = others(surprise).masked_fill(~real[:, None], torch.inf)
        kept = (real.sum(1) * (1 - self.forgotten(step))).ceil()[:, None, None]  # [T, 1, 1]
        return hard.argsort(-1).argsort(-1) < kept
