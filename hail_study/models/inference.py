"""How the peers of a trial answer together."""

import torch
from torch import Tensor


def combine(logits: Tensor, rule: str, best_peer: int = 0, gate: Tensor | None = None) -> Tensor:
    """One score per item from the peers' logits.

    Args:
        logits: [K, n, V], one row of item logits per peer and target.
        rule: `mean-probability` (mean of the peers' softmax, as its logarithm up to a constant: items whose probability
            underflows keep their order), `mean-logit`, `best`, or `gate`.
        best_peer: The peer that answers under `best`.
        gate: [n, K], logits of the peers' weights under `gate` (`PeerNetwork.mixtures`).

    Returns:
        [n, V] scores; only their order within a row means something.

    Raises:
        ValueError: The rule is none of these, or `gate` without a gate.
    """
    if len(logits) == 1:
        return logits[0]
    if rule == "mean-probability":
        return (logits - logits.logsumexp(-1, keepdim=True)).logsumexp(0)
    if rule == "mean-logit":
        return logits.mean(0)
    if rule == "best":
        return logits[best_peer]
    if rule == "gate" and gate is not None:
        return torch.einsum("knv,nk->nv", logits, gate.float().softmax(-1))
    raise ValueError(f"unknown inference rule {rule!r}: use mean-probability, mean-logit, best, or gate with a gate")
