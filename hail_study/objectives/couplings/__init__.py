"""Couplings: what the peers of one trial learn from each other, one module each."""

from hail_study.objectives.couplings.base import Chunk, Coupling, Terms

__all__ = ["Chunk", "Coupling", "Terms"]
