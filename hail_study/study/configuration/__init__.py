"""One configuration: everything that determines a trial but its seed.

Factors are dotted paths into it (`peers.count`). Field descriptions are the documentation: they reach editors through
the exported JSON Schema. Where a new field matters only beside certain levels of others, say so in `canonical.RULES`.
"""

from pydantic import Field

from hail_study.study.configuration.data import (
    CopyingData,
    Data,
    DigitsData,
    FileData,
    FunctionalData,
    MosaicData,
    MultilabelData,
    PlantedData,
    PluginData,
)
from hail_study.study.configuration.encoder import Encoder
from hail_study.study.configuration.objective import Objective
from hail_study.study.configuration.peers import Peers
from hail_study.study.configuration.readout import Readout
from hail_study.study.configuration.selection import Select
from hail_study.study.configuration.structure import Structure
from hail_study.study.configuration.training import Evaluation, Training
from hail_study.study.sections import Section

__all__ = [
    "Base",
    "Configuration",
    "CopyingData",
    "Data",
    "DigitsData",
    "Encoder",
    "Evaluation",
    "FileData",
    "FunctionalData",
    "MosaicData",
    "MultilabelData",
    "Objective",
    "Peers",
    "PlantedData",
    "PluginData",
    "Readout",
    "Select",
    "Structure",
    "Training",
]


class Base(Section):
    """The reference arm: `Configuration` without its data, which is a section of its own in the study file."""

    encoder: Encoder = Field(default_factory=Encoder)
    peers: Peers = Field(default_factory=Peers)
    readout: Readout = Field(default_factory=Readout)
    objective: Objective = Field(default_factory=Objective)
    training: Training = Field(default_factory=Training)
    evaluation: Evaluation = Field(default_factory=Evaluation)


class Configuration(Base):
    """Everything that determines a trial but its seed. Factors are dotted paths into it (`peers.count`)."""

    data: Data = Field(default_factory=PlantedData)
