"""Couplings: what the peers of one trial learn from each other, one module each."""

from hail_study.objectives.couplings.base import Coupling

__all__ = ["Coupling"]
