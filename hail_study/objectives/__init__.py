"""What peers minimise: losses over the items, and what peers learn from each other."""

from hail_study.objectives.couplings import Coupling
from hail_study.objectives.objective import Loss, Objective

__all__ = ["Coupling", "Loss", "Objective"]
