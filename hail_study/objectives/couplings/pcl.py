"""Peer collaborative learning: an ensemble and slow averages of the peers teach each of them.

Wu, Gong. Peer Collaborative Learning for Online Knowledge Distillation. AAAI 2021, arXiv 2006.04147, equations 3-9.
"""

from hail_study.objectives.couplings.arithmetic import cross_entropy, divergence, others
from hail_study.objectives.couplings.base import Chunk, Coupling, Terms, Weight


class Pcl(Coupling):
    """alpha CE_i + (1 - alpha) ramp T^2 [KL(ensemble || p_i) + mean_{j != i} KL(average_j || p_i)].

    `average_j` is peer j with weights averaged over the steps (`peers.momentum`); evaluation uses these averages. The
    ensemble is the peers' mean logits; the paper trains one more classifier on their joined features instead.
    """

    teacher = "average"

    def weights(self, step: int) -> dict[str, Weight]:
        alpha, rising = self.alpha(step), self.ramp(step)
        return {"cross_entropy": alpha, "ensemble": (1 - alpha) * rising, "average": (1 - alpha) * rising}

    def loss(self, chunk: Chunk) -> Terms:
        assert chunk.teacher is not None
        heat = self.settings.temperature
        log_p = (chunk.logits / heat).log_softmax(-1)
        slow = (chunk.teacher / heat).log_softmax(-1)
        crossed = others((slow.exp() * slow).sum(-1)) - (others(slow.exp()) * log_p).sum(-1)
        return {
            "cross_entropy": cross_entropy(chunk.logits, chunk.targets),
            "ensemble": heat**2 * divergence(chunk.logits.mean(1, keepdim=True) / heat, chunk.logits / heat),
            "average": heat**2 * crossed,
        }
