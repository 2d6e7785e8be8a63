"""Losses of one prediction over the items: which candidates are scored, and by what they are judged."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from hail_study.objectives.couplings.base import Chunk, Coupling, Gradients, Terms
from hail_study.study.configuration import Objective as Settings
from hail_study.study.configuration import Peers


class ItemLoss:
    """A level of `objective.loss`.

    Attributes:
        sampled: The candidates are the target and sampled negatives, not all items.
        probabilistic: The candidates' scores are judged as one distribution, so that any coupling can be put on it.
        unbiased: With `objective.logq` its normaliser has that of the softmax over all items as its mean.
    """

    sampled: ClassVar[bool] = False
    probabilistic: ClassVar[bool] = True
    unbiased: ClassVar[bool] = False

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def judge(self, peers: Peers) -> Coupling:
        """What judges the scores where `probabilistic` is false."""
        raise NotImplementedError


class CrossEntropy(ItemLoss):
    """Softmax over all items."""

    source, control = "maximum likelihood", "none: it is the control of the others"


class SampledSoftmax(ItemLoss):
    """Softmax over the target and `objective.negatives` others.

    With `objective.logq` the logarithm of how often each negative is drawn on average, M times its frequency, is
    subtracted from its score: the sum over target and negatives is then an unbiased estimate of that over all items
    (importance sampling: Bengio, Senecal. IEEE TNN 2008), and the gradient approaches that of the full softmax as M
    grows. The target was not drawn, so its score stays as it is; with a correction of the target too, as is usual, the
    target would weigh less and less in that sum (Khrylchenko et al. Correcting the LogQ Correction. RecSys 2025,
    arXiv 2507.09331).
    """

    sampled, unbiased = True, True


class BinaryCrossEntropy(ItemLoss):
    """The target against each negative by itself (Kang, McAuley. SASRec. ICDM 2018, equation 7)."""

    sampled, probabilistic = True, False

    def judge(self, peers: Peers) -> Coupling:
        return Binary(peers, 0.0, self.settings.bias == "prior")


class GeneralisedBinary(ItemLoss):
    """gBCE: binary cross-entropy whose positive term undoes the overconfidence that sampling negatives brings.

    Petrov, Macdonald. gSASRec: Reducing Overconfidence in Sequential Recommendation Trained with Negative Sampling.
    RecSys 2023, arXiv 2308.07192, equations 10-14; `objective.calibration` is their t.
    """

    sampled, probabilistic = True, False

    def judge(self, peers: Peers) -> Coupling:
        return Binary(peers, self.settings.calibration, self.settings.bias == "prior")


class Binary(Coupling):
    """-(beta log sigma(s_y + b) + sum over M negatives of log(1 - sigma(s_k + b))) / (M + 1), of independent peers.

    beta = a (t (1 - 1 / a) + 1 / a), a the sampled share of the negatives; t = 0 is plain binary cross-entropy.

    b is a constant. The papers have none: a network begins with every item as likely as not, and must first learn that
    nearly all are wrong. It does so by one direction that all states share, and little is left of what tells histories
    apart (`analysis/results/baselines.md`). With b = log(beta / M) equal scores begin as the best constant prediction
    (Lin et al. Focal Loss. ICCV 2017, section 3.3, for the bias of a classifier's last layer). No ranking depends on b,
    and plain binary cross-entropy with one negative has none.

    Args:
        peers: Settings.
        calibration: t.
        prior: Whether b is log(beta / M); otherwise it is 0.
    """

    def __init__(self, peers: Peers, calibration: float, prior: bool) -> None:
        super().__init__(peers)
        self._calibration, self._prior = calibration, prior

    def weights(self, step: int) -> dict[str, float]:
        return {"binary_cross_entropy": 1.0}

    def loss(self, chunk: Chunk) -> Terms:
        scores, beta = self._scores(chunk)
        each = torch.where(_right(chunk), beta * F.softplus(-scores), F.softplus(scores))
        return {"binary_cross_entropy": each.mean(-1)}

    def gradient(self, chunk: Chunk) -> tuple[Terms, Gradients]:
        scores, beta = self._scores(chunk)
        p = scores.sigmoid()
        return self.loss(chunk), (torch.where(_right(chunk), beta * (p - 1), p).div_(p.shape[-1]), {})

    def _scores(self, chunk: Chunk) -> tuple[Tensor, float]:
        """s + b, and beta."""
        negatives = chunk.logits.shape[-1] - 1
        sampled = negatives / max(1, chunk.items - 1)
        beta = sampled * (self._calibration * (1 - 1 / sampled) + 1 / sampled)
        return chunk.logits + math.log(beta / negatives) if self._prior else chunk.logits, beta


def _right(chunk: Chunk) -> Tensor:
    """Which candidate is the target, [T, 1, n, C] bool."""
    candidates = torch.arange(chunk.logits.shape[-1], device=chunk.targets.device)
    return (chunk.targets[..., None] == candidates)[:, None]
