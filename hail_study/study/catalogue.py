"""The names a study file may use, and where each one's code lives.

A component is one file plus one line here. The targets are strings (``module:attribute``) so that a study file can be
checked, and a mistake answered, before torch, Ray or MLflow is imported.
"""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

ENCODERS: Final = {
    "sasrec": "hail_study.models.sasrec:SASRec",
    "bert4rec": "hail_study.models.bert4rec:BERT4Rec",
    "gru4rec": "hail_study.models.gru4rec:GRU4Rec",
    "fmlprec": "hail_study.models.fmlprec:FMLPRec",
    "caser": "hail_study.models.caser:Caser",
    "lrurec": "hail_study.models.lrurec:LRURec",
    "rnn": "hail_study.models.rnn:Rnn",
    "tcn": "hail_study.models.tcn:Tcn",
}
"""Sequence encoders (`encoder.name`)."""

HEADLESS: Final = frozenset({"fmlprec", "lrurec", "rnn"})
"""Those with no output transform, of which `peers.share: [head]` shares nothing."""

COUPLINGS: Final = {
    "independent": "hail_study.objectives.couplings.independent:Independent",
    "med": "hail_study.objectives.couplings.med:Med",
    "mutual": "hail_study.objectives.couplings.mutual:Mutual",
    "unlikelihood": "hail_study.objectives.couplings.unlikelihood:Unlikelihood",
    "co-teaching": "hail_study.objectives.couplings.coteaching:CoTeaching",
    "one": "hail_study.objectives.couplings.one:One",
    "okddip": "hail_study.objectives.couplings.okddip:OKDDip",
    "kdcl": "hail_study.objectives.couplings.kdcl:Kdcl",
    "pcl": "hail_study.objectives.couplings.pcl:Pcl",
    "boosted": "hail_study.objectives.couplings.boosted:Boosted",
    "rescaled": "hail_study.objectives.couplings.independent:Rescaled",
}
"""What the peers of one trial learn from each other (`peers.coupling`)."""

ITEM_LOSSES: Final = {
    "cross-entropy": "hail_study.objectives.items:CrossEntropy",
    "sampled-softmax": "hail_study.objectives.items:SampledSoftmax",
    "bce": "hail_study.objectives.items:BinaryCrossEntropy",
    "gbce": "hail_study.objectives.items:GeneralisedBinary",
}
"""The loss of one prediction over the items (`objective.loss`)."""

AUXILIARIES: Final = {
    "contrastive": "hail_study.objectives.auxiliary.contrastive:Contrastive",
    "clusters": "hail_study.objectives.auxiliary.clusters:Clusters",
    "corruption": "hail_study.objectives.auxiliary.corruption:Corruption",
    "domains": "hail_study.objectives.auxiliary.domains:Domains",
    "distillation": "hail_study.objectives.auxiliary.distillation:Distillation",
    "mixup": "hail_study.objectives.auxiliary.mixup:Mixup",
    "neighbour": "hail_study.objectives.auxiliary.neighbour:Neighbour",
    "preference": "hail_study.objectives.auxiliary.preference:Preference",
    "probabilistic": "hail_study.objectives.auxiliary.probabilistic:Probabilistic",
    "pseudo": "hail_study.objectives.auxiliary.pseudo:Pseudo",
    "ranking": "hail_study.objectives.auxiliary.ranking:Ranking",
    "successor": "hail_study.objectives.auxiliary.successor:Successor",
}
"""What networks minimise beside the loss over the items (`objective.auxiliary`)."""

MINERS: Final = {
    "own": "hail_study.objectives.mining:Own",
    "peer": "hail_study.objectives.mining:Peer",
    "random": "hail_study.objectives.mining:Random",
}
"""Whose prediction decides which targets are hard (`objective.mining.by`)."""

WEIGHTINGS: Final = {
    "fixed": "hail_study.objectives.weightings.fixed:Fixed",
    "uncertainty": "hail_study.objectives.weightings.uncertainty:Uncertainty",
    "exp3": "hail_study.objectives.weightings.bandit:Exp3",
    "ucb1": "hail_study.objectives.weightings.bandit:Ucb1",
    "uniform": "hail_study.objectives.weightings.bandit:Uniform",
}
"""How much each auxiliary term weighs in the course of a training (`objective.weighting`)."""

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

STRUCTURES: Final = {
    "bce": "hail_study.objectives.structure.bce:Bce",
    "infnet": "hail_study.objectives.structure.infnet:InfNet",
    "compound": "hail_study.objectives.structure.infnet:Compound",
    "seal": "hail_study.objectives.structure.seal:Seal",
    "implicit": "hail_study.objectives.structure.implicit:Implicit",
}
"""How a set of labels or items is learned (`objective.structure.method`)."""

SOLVERS: Final = {
    "t1t2": "hail_study.objectives.structure.solvers:t1t2",
    "neumann": "hail_study.objectives.structure.solvers:neumann",
    "cg": "hail_study.objectives.structure.solvers:conjugate_gradients",
}
"""Products with an inverse Hessian (`objective.structure.solver`)."""

DIAGNOSTICS: Final = {
    "attribution": "hail_study.tasks.diagnostics.attribution:Attribution",
    "cold-items": "hail_study.tasks.diagnostics.cold:ColdItems",
}
"""What else is said of a trained network (`metrics.diagnostics`)."""

SOURCES: Final = {
    "planted": "hail_study.data.planted:planted",
    "file": "hail_study.data.files:read",
    "mosaic": "hail_study.data.mosaic:mosaic",
    "digits": "hail_study.data.mosaic:digits",
    "functional": "hail_study.data.memory:functional",
    "copying": "hail_study.data.memory:copying",
    "multilabel": "hail_study.data.multilabel:multilabel",
}
"""Where data come from (`data.source`)."""

TASKS: Final = {
    "next-item": "hail_study.tasks.next_item:NextItem",
    "segments": "hail_study.tasks.segments:SegmentSelection",
    "memory": "hail_study.tasks.memory:SequenceMemory",
    "labels": "hail_study.tasks.labels:LabelSets",
    "sets": "hail_study.tasks.sets:NextSets",
}
"""What is learned; it follows from the data (`hail_study.study.tasks`)."""

TASKS_OF: Final = {
    "planted": "next-item",
    "file": "next-item",
    "mosaic": "segments",
    "digits": "segments",
    "functional": "memory",
    "copying": "memory",
    "multilabel": "labels",
}
"""Source -> the task that its data set."""


@dataclass(frozen=True)
class PluginTask:
    """What a plug-in says of a task that it brings, so that a study can be checked before the task is imported.

    Attributes:
        target: `module:attribute` of a subclass of `hail_study.tasks.Task`.
        metrics: What it measures, more being better.
        errors: What it measures, less being better.
        factors: What it looks at beside `data`, `training` and `evaluation.select`: factors, or whole sections
            (`encoder`). A study that sets any other is refused.
    """

    target: str
    metrics: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()


TASKS_OUTSIDE: Final[dict[str, PluginTask]] = {}
"""Tasks from plug-ins; their targets are in `TASKS` too."""

METRICS: Final[dict[str, str]] = {}
"""Further metrics of rankings, from plug-ins (`metrics.report`)."""


def resolve(target: str) -> Any:
    """Import the object that a catalogue entry (``module:attribute``) names."""
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
