"""Auxiliary terms: what networks minimise beside the loss over the items. One file a term."""

from hail_study.objectives.auxiliary.base import Auxiliary, Scene

__all__ = ["Auxiliary", "Scene"]
