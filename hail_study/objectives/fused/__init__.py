"""Cross-entropy and MED over all items without scores in memory: Triton kernels for GPUs."""

from hail_study.objectives.fused.choice import obstacle
from hail_study.objectives.fused.loss import fused_loss

__all__ = ["fused_loss", "obstacle"]
