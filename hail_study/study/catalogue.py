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

PARADIGMS: Final = {
    "soft": "hail_study.models.readouts.soft:Soft",
    "hard": "hail_study.models.readouts.hard:Hard",
    "lvml": "hail_study.models.readouts.lvml:Lvml",
    "logit-mix": "hail_study.models.readouts.soft:LogitMix",
    "power": "hail_study.models.readouts.lvml:Power",
}
"""How a focus on single segments is trained (`readout.paradigm`)."""

STAGES: Final[dict[str, tuple[str, ...]]] = {
    "hybrid": ("soft", "hard"),
    "lvml-then-hard": ("lvml", "hard"),
}
"""Paradigms that are two others, one after the other."""

SOURCES: Final = {
    "planted": "hail_study.data.planted:planted",
    "file": "hail_study.data.files:read",
    "mosaic": "hail_study.data.mosaic:mosaic",
    "digits": "hail_study.data.mosaic:digits",
    "functional": "hail_study.data.memory:functional",
    "copying": "hail_study.data.memory:copying",
}
"""Where data come from (`data.source`)."""

TASKS: Final = {
    "next-item": "hail_study.tasks.next_item:NextItem",
    "segments": "hail_study.tasks.segments:SegmentSelection",
    "memory": "hail_study.tasks.memory:SequenceMemory",
}
"""What is learned; it follows from the source of the data (`hail_study.study.tasks`)."""


def resolve(target: str) -> Any:
    """Import the object that a catalogue entry (``module:attribute``) names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
