"""The study file as typed, frozen models: what a user may write, its defaults and its limits.

Field descriptions are the documentation: they reach editors through the exported JSON Schema.
"""

from hail_study.study.schema.compute import Budget, Compute
from hail_study.study.schema.file import StudyFile
from hail_study.study.schema.outputs import Metrics, RecordSettings
from hail_study.study.schema.search import Asha, Choices, Dimension, HyperBand, Median, Pbt, Range, Search
from hail_study.study.schema.seeds import Pruning, SequentialSeeds

__all__ = [
    "Asha",
    "Budget",
    "Choices",
    "Compute",
    "Dimension",
    "HyperBand",
    "Median",
    "Metrics",
    "Pbt",
    "Pruning",
    "Range",
    "RecordSettings",
    "Search",
    "SequentialSeeds",
    "StudyFile",
]
