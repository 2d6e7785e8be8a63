"""What else is said of a trained network, on test examples alone: `metrics.diagnostics`. One file each."""

from hail_study.tasks.diagnostics.base import Diagnostic, Examples, Findings, Scene, sample
from hail_study.tasks.diagnostics.examine import examined

__all__ = ["Diagnostic", "Examples", "Findings", "Scene", "examined", "sample"]
