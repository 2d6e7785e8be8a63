"""OKDDip: auxiliary peers teach each other by attention, and together a leader.

Chen, Mei, Wang, Feng, Chen. Online Knowledge Distillation with Diverse Peers. AAAI 2020, arXiv 1912.00350,
equations 4-9.
"""

import torch
from torch import Tensor

from hail_study.objectives.couplings.arithmetic import cross_entropy
from hail_study.objectives.couplings.base import Chunk, Coupling, Terms, Weight


class OKDDip(Coupling):
    """alpha CE_i + (1 - alpha) ramp T^2 KL(t_i || p_i), softened by `peers.temperature` T.

    The last peer is the leader, taught by the mean of the auxiliary peers' probabilities. An auxiliary peer's t_i mixes
    the other auxiliary peers' by attention, which learns through this term; their probabilities are held fixed. With
    two peers the one auxiliary peer has no teacher.
    """

    mixture = "attention"

    def weights(self, step: int) -> dict[str, Weight]:
        alpha = self.alpha(step)
        return {"cross_entropy": alpha, "okddip": (1 - alpha) * self.ramp(step)}

    def loss(self, chunk: Chunk) -> Terms:
        heat = self.settings.temperature
        log_p = (chunk.logits / heat).log_softmax(-1)
        taught = self._taught(log_p.detach().exp()[:, :-1], chunk.mixtures["attention"])  # [T, K, n, C]
        logarithm = taught.clamp_min(torch.finfo(taught.dtype).tiny).log()
        return {
            "cross_entropy": cross_entropy(chunk.logits, chunk.targets),
            "okddip": heat**2 * (taught * (logarithm - log_p)).sum(-1),
        }

    def _taught(self, p: Tensor, attention: Tensor) -> Tensor:
        """Targets of all peers from the K - 1 auxiliary ones' p; zero, so no loss, where nobody teaches."""
        leader = p.mean(1, keepdim=True)
        auxiliary = p.shape[1]
        if auxiliary == 1:
            return torch.cat([torch.zeros_like(p), leader], 1)
        oneself = torch.eye(auxiliary, dtype=torch.bool, device=p.device)
        share = attention[..., :-1, :-1].masked_fill(oneself, -torch.inf).softmax(-1)  # [T, n, K - 1, K - 1]
        return torch.cat([torch.einsum("tjnc,tnij->tinc", p, share), leader], 1)
