"""What two views of the same histories are compared by."""

import torch
import torch.nn.functional as F
from torch import Tensor


def similarities(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Scores of all 2B vectors with each other, [S, 2B, 2B], -inf of a vector with itself.

    Args:
        first: [S, B, D], one view.
        second: [S, B, D], the other, row by row of the same histories.
        temperature: Divides the inner products.
    """
    both = torch.cat([first, second], 1)  # [S, 2B, D]
    scores = both @ both.transpose(1, 2) / temperature
    return scores.masked_fill(torch.eye(both.shape[1], dtype=torch.bool, device=both.device), -torch.inf)


def info_nce(first: Tensor, second: Tensor, temperature: float = 1.0) -> Tensor:
    """L_con: symmetric InfoNCE with the batch's other 2B - 2 vectors as negatives, [S].

    Chen, Kornblith, Norouzi, Hinton. A Simple Framework for Contrastive Learning of Visual Representations. ICML 2020,
    equation 1; MCLRec (arXiv 2304.07763) and CL4SRec use it on inner products.
    """
    scores = similarities(first, second, temperature)
    right = _partners(scores).flatten()
    return F.cross_entropy(scores.flatten(0, 1), right, reduction="none").view(len(scores), -1).mean(1)


def separation(first: Tensor, second: Tensor, temperature: float = 1.0) -> Tensor:
    """MCLRec's R, [S]: mean [s+ - o_min]_+ + mean [o_max - s-]_+ of the scores in `info_nce`.

    s+ are the scores of a history's two views, s- all others; o_min and o_max the smaller and the larger of min s+ and
    max s-. Zero where there is nothing to compare with.
    """
    scores = similarities(first, second, temperature)
    if scores.shape[1] <= 2:
        return scores.new_zeros(len(scores))
    partners = _partners(scores)[..., None]
    positive = scores.gather(-1, partners)[..., 0]  # [S, 2B]
    other = scores.isfinite().scatter(-1, partners, False)
    lowest = positive.amin(1)
    highest = scores.masked_fill(~other, -torch.inf).amax((1, 2))
    low, high = torch.minimum(lowest, highest), torch.maximum(lowest, highest)
    near = (positive - low[:, None]).clamp_min(0).mean(1)
    far = (high[:, None, None] - scores.where(other, high[:, None, None])).clamp_min(0).sum((1, 2))
    return near + far / other[0].sum()


def _partners(scores: Tensor) -> Tensor:
    """[S, 2B], where each vector's other view stands."""
    width = scores.shape[-1]
    return torch.arange(width, device=scores.device).roll(width // 2).expand(scores.shape[:2])
