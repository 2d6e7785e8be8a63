"""The study file: its schema, arms, search spaces, seeds, claims, keys and plan. Imports no torch, Ray or MLflow."""

from hail_study.study.canonical import RULES, Rule, canonical
from hail_study.study.catalogue import PluginTask
from hail_study.study.claims import Claim
from hail_study.study.configuration import (
    Base,
    Configuration,
    Data,
    Encoder,
    Evaluation,
    FileData,
    Objective,
    Peers,
    PlantedData,
    PluginData,
    Readout,
    Training,
)
from hail_study.study.configure import configure
from hail_study.study.errors import Place, Problem, StudyError
from hail_study.study.factors import flatten
from hail_study.study.json_schema import json_schema
from hail_study.study.keys import code_version
from hail_study.study.load import load
from hail_study.study.model import Arm, Phase, Piece, Stretch, Study, TrialSpec
from hail_study.study.plan import ArmPlan, Plan, plan
from hail_study.study.plugins import Plugin, PluginError
from hail_study.study.power import Power
from hail_study.study.protocol import cautions, protocol, protocols
from hail_study.study.schema import (
    Asha,
    Choices,
    Compute,
    Metrics,
    Range,
    RecordSettings,
    Search,
    StudyFile,
)
from hail_study.study.sections import Changes, Value
from hail_study.study.space import active

__all__ = [
    "RULES",
    "Arm",
    "ArmPlan",
    "Asha",
    "Base",
    "Changes",
    "Choices",
    "Claim",
    "Compute",
    "Configuration",
    "Data",
    "Encoder",
    "Evaluation",
    "FileData",
    "Metrics",
    "Objective",
    "Peers",
    "Phase",
    "Piece",
    "Place",
    "Plan",
    "PlantedData",
    "Plugin",
    "PluginData",
    "PluginError",
    "PluginTask",
    "Power",
    "Problem",
    "Range",
    "Readout",
    "RecordSettings",
    "Rule",
    "Search",
    "Stretch",
    "Study",
    "StudyError",
    "StudyFile",
    "Training",
    "TrialSpec",
    "Value",
    "active",
    "canonical",
    "cautions",
    "code_version",
    "configure",
    "flatten",
    "json_schema",
    "load",
    "plan",
    "protocol",
    "protocols",
]
