"""How much each auxiliary term weighs in the course of a training. One file a family."""

from hail_study.objectives.weightings.base import Weighed, Weighting

__all__ = ["Weighed", "Weighting"]
