"""The names a study file may use, and where each one's code lives.

A component is one file plus one line here. The targets are strings (``module:attribute``) so that a study file can be
checked, and a mistake answered, before torch, Ray or MLflow is imported.
"""

from importlib import import_module
from typing import Any, Final

ENCODERS: Final = {
    "sasrec": "hail_study.models.sasrec:SASRec",
}
"""Sequence encoders (`encoder.name`)."""

COUPLINGS: Final = {
    "independent": "hail_study.objectives.couplings.independent:Independent",
    "med": "hail_study.objectives.couplings.med:Med",
    "mutual": "hail_study.objectives.couplings.mutual:Mutual",
}
"""What the peers of one trial learn from each other (`peers.coupling`)."""

ITEM_LOSSES: Final = {
    "cross-entropy": "hail_study.objectives.items:CrossEntropy",
}
"""The loss of one prediction over the items (`objective.loss`)."""

SOURCES: Final = {
    "planted": "hail_study.data.planted:planted",
    "file": "hail_study.data.files:read",
}
"""Where interactions come from (`data.source`)."""


def resolve(target: str) -> Any:
    """Import the object that a catalogue entry (``module:attribute``) names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
