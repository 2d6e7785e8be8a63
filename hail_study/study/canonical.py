"""One form for all configurations that describe the same training.

Settings that cannot matter are set to a neutral level, so that equal trainings have equal keys and are run once.
A new component whose settings matter only sometimes adds a line to `RULES`.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from hail_study.study.catalogue import COUPLINGS, ENCODERS, HEADLESS, ITEM_LOSSES, STAGES
from hail_study.study.configuration import Configuration
from hail_study.study.configuration.objective import TERMS
from hail_study.study.factors import ABSENT, default, level, replaced
from hail_study.study.sections import Section, Value

_DEFAULT: Final = object()

_OURS: Final = frozenset([*ENCODERS, *COUPLINGS, *ITEM_LOSSES])
"""Components whose settings are known here. One from outside may look at any setting."""


@dataclass(frozen=True)
class Rule:
    """Some factors matter only beside certain levels of others.

    Attributes:
        factors: Dotted paths that may not matter.
        beside: Dotted paths whose levels decide that.
        matters: Given these levels in order, whether `factors` matter.
        neutral: The level of factors that do not matter, or a function from the one given to it; by default each
            factor's default.
    """

    factors: tuple[str, ...]
    beside: tuple[str, ...]
    matters: Callable[..., bool]
    neutral: Any = _DEFAULT

    def level(self, configuration: Configuration, factor: str) -> Value:
        """What a factor that does not matter is set to."""
        found: Value
        if self.neutral is _DEFAULT:
            found = default(configuration, factor)
        else:
            found = self.neutral(level(configuration, factor)) if callable(self.neutral) else self.neutral
        return found


def _paradigms(paradigm: str, by_peer: Sequence[str]) -> set[str]:
    """Every paradigm that trains some peer at some time."""
    return {part for one in by_peer or [paradigm] for part in STAGES.get(one, (one,))}


def _encoders(name: str, by_peer: Sequence[str]) -> set[str]:
    return set(by_peer or [name])


def _encoder(*names: str) -> Callable[..., bool]:
    """Whether one of these is among the encoders, or one from outside."""
    return lambda name, by_peer: any(one in names or one not in _OURS for one in _encoders(name, by_peer))


def _equals(wanted: str) -> Callable[[str], bool]:
    return lambda found: found == wanted


def _is(*names: str) -> Callable[[str], bool]:
    """Whether a coupling or loss is one of these, or comes from outside."""
    return lambda name: name in names or name not in _OURS


def _with_head(share: Sequence[str]) -> list[str]:
    return sorted({*share, "head"})


_ALPHA: Final = Rule(
    ("peers.alpha", "peers.alpha_decay"),
    ("peers.coupling",),
    lambda coupling: coupling not in ("independent", "rescaled", "co-teaching", "boosted"),
)


def _term(name: str, settings: type[Section]) -> Rule:
    """The settings of an auxiliary term matter where the term is named."""
    factors = tuple(f"objective.{name}.{setting}" for setting in settings.model_fields)
    return Rule(factors, ("objective.auxiliary",), lambda terms: name in terms)


OWN_RULES: Final = {"soft": "average", "logit-mix": "logits", "hard": "argmax", "lvml": "mixture", "power": "mixture"}
"""Paradigm -> the rule of prediction that it trains: what `readout.inference: own` means."""
_METHOD: Final = "objective.structure.method"
_SEGMENTS: Final = ("mosaic", "digits")
_SEQUENCES: Final = ("functional", "copying")

RULES: Final = (
    Rule(
        (
            "encoder.name",
            "encoder.inner",
            "encoder.attention_dropout",
            "encoder.norm",
            "readout.lags",
            "objective.temporal",
            "peers.encoders",
            "peers.hidden",
        ),
        ("data.source",),
        lambda source: source not in _SEGMENTS,
    ),
    Rule(
        ("encoder.heads",),
        ("data.source", "encoder.dim"),
        lambda source, dim: source not in _SEGMENTS or dim % 2 == 1,  # the neutral level must divide it
    ),
    Rule(
        ("encoder.tied", "objective.loss", "peers.share", "evaluation.protocol", "evaluation.filter_seen"),
        ("data.source",),
        lambda source: source not in (*_SEGMENTS, *_SEQUENCES),
    ),
    _ALPHA,
    Rule(
        ("peers.coupling",),
        ("peers.count", "peers.alpha", "peers.alpha_decay"),
        lambda count, alpha, decay: count > 1 and (alpha < 1 or decay > 0),
        neutral="independent",
    ),
    _ALPHA,
    Rule(
        ("peers.share", "peers.inference", "peers.encoders", "peers.differ"), ("peers.count",), lambda count: count > 1
    ),
    Rule(
        ("peers.share",),
        ("peers.share", "encoder.tied", "encoder.name", "peers.encoders"),
        lambda share, tied, *given: "head" in share or not (tied and HEADLESS.issuperset(_encoders(*given))),
        neutral=_with_head,
    ),
    Rule(("peers.inference",), ("peers.coupling",), lambda coupling: coupling != "boosted", neutral="mean-logit"),
    Rule(
        ("peers.inference",),
        ("data.source", "peers.inference"),
        lambda source, rule: source != "functional" or rule != "mean-logit",  # answers are averaged in either case
    ),
    Rule(
        ("peers.gamma", "peers.terms", "peers.belief", "peers.truncation"),
        ("peers.coupling",),
        _is("med"),
    ),
    Rule(("peers.freeze",), ("peers.belief",), lambda belief: belief == "frozen"),
    Rule(("peers.truncation_of",), ("peers.truncation",), lambda share: share > 0),
    Rule(("peers.temperature",), ("peers.coupling",), _is("one", "okddip", "kdcl", "pcl")),
    Rule(("peers.ramp",), ("peers.coupling",), _is("one", "okddip", "pcl", "co-teaching")),
    Rule(("peers.forget",), ("peers.coupling",), _is("co-teaching")),
    Rule(("peers.teacher",), ("peers.coupling",), _is("kdcl")),
    Rule(("peers.momentum",), ("peers.coupling",), _is("pcl")),
    Rule(("peers.scale",), ("peers.coupling",), _is("rescaled")),
    Rule(("encoder.name",), ("peers.encoders",), lambda encoders: not encoders),
    Rule(
        ("encoder.inner",),
        ("encoder.name", "peers.encoders"),
        _encoder("sasrec", "bert4rec", "fmlprec", "lrurec"),
    ),
    Rule(
        ("encoder.heads",),
        ("encoder.dim", "encoder.name", "peers.encoders"),
        lambda dim, *given: _encoder("sasrec", "bert4rec")(*given) or dim % 2 == 1,
    ),
    Rule(
        ("encoder.attention_dropout", "encoder.norm"),
        ("encoder.name", "peers.encoders"),
        _encoder("sasrec", "bert4rec"),
    ),
    Rule(
        ("encoder.mask", "encoder.mask_last"),
        ("encoder.name", "peers.encoders"),
        _encoder("bert4rec"),
    ),
    Rule(
        ("encoder.filters",),
        ("encoder.name", "peers.encoders"),
        _encoder("caser"),
    ),
    Rule(
        ("encoder.window",),
        ("encoder.name", "peers.encoders"),
        _encoder("caser", "tcn"),
    ),
    Rule(
        ("objective.loss", "objective.temporal", "objective.temporal_variant"),
        ("data.targets",),
        lambda targets: targets == 1,
    ),
    Rule(
        (
            "encoder.name",
            "encoder.heads",
            "encoder.inner",
            "encoder.attention_dropout",
            "encoder.norm",
            "encoder.tied",
            "objective.loss",
            "objective.temporal",
            "peers.encoders",
            "peers.hidden",
            "peers.share",
            "evaluation.protocol",
            "evaluation.filter_seen",
        ),
        ("data.source",),
        lambda source: source != "multilabel",
    ),
    Rule(("data.select.tau",), ("data.select.method",), lambda method: method != "all"),
    Rule(("data.select.prior", "data.select.conditional"), ("data.select.method",), lambda method: method == "color"),
    Rule((_METHOD,), ("data.targets",), lambda targets: targets > 1),
    Rule((_METHOD,), ("data.source",), lambda source: source in ("multilabel", "planted", "file")),
    Rule(("objective.structure.candidates",), ("data.targets",), lambda targets: targets > 1),
    Rule(("objective.structure.candidates",), ("data.source",), lambda source: source in ("planted", "file")),
    Rule(("objective.structure.energy", "objective.structure.rank"), (_METHOD,), lambda method: method != "bce"),
    Rule(
        ("objective.structure.cross_entropy",), (_METHOD,), lambda method: method in ("infnet", "compound", "implicit")
    ),
    Rule(("objective.structure.cross_entropy_decay",), (_METHOD,), lambda method: method in ("infnet", "compound")),
    Rule(("objective.structure.perceptron",), (_METHOD,), lambda method: method == "compound"),
    Rule(("objective.structure.retune",), (_METHOD,), lambda method: method == "infnet"),
    Rule(("objective.structure.weight",), (_METHOD,), lambda method: method in ("seal", "implicit")),
    Rule(("objective.structure.samples",), (_METHOD,), lambda method: method == "seal"),
    Rule(
        (
            "objective.structure.solver",
            "objective.structure.damping",
            "objective.structure.outer",
            "objective.structure.held_out",
            "objective.structure.steps",
            "objective.structure.eta",
        ),
        (_METHOD,),
        lambda method: method == "implicit",
    ),
    Rule(("objective.structure.held_out",), ("objective.structure.outer",), lambda outer: outer == "held-out"),
    Rule(("objective.structure.steps",), ("objective.structure.solver",), lambda solver: solver != "t1t2"),
    Rule(("objective.structure.damping",), ("objective.structure.solver",), lambda solver: solver != "t1t2"),
    Rule(("objective.structure.eta",), ("objective.structure.solver",), lambda solver: solver != "cg"),
    Rule(
        ("objective.negatives", "objective.sampling", "objective.shared_negatives"),
        ("objective.loss",),
        lambda loss: loss != "cross-entropy",
    ),
    Rule(("objective.logq",), ("objective.loss",), lambda loss: loss not in ("cross-entropy", "bce", "gbce")),
    Rule(("objective.calibration",), ("objective.loss",), _is("gbce")),
    Rule(("objective.bias",), ("objective.loss",), _is("bce", "gbce")),
    Rule(("data.valid_from", "data.test_from"), ("data.split",), lambda split: split == "temporal"),
    Rule(("data.validation_users",), ("data.split",), lambda split: split == "leave-one-out"),
    Rule(("data.stride",), ("data.stride", "data.max_length"), lambda stride, most: stride != most, "max_length"),
    Rule(("evaluation.filter_seen",), ("evaluation.protocol",), lambda protocol: protocol == "full"),
    Rule(("data.lag",), ("data.source", "data.cue"), lambda source, cue: source != "planted" or cue > 0),
    Rule(("data.lag",), ("data.functional",), lambda functional: functional in ("shifted", "two-part", "airy")),
    Rule(("readout.by_peer",), ("peers.count", "readout.paradigm"), lambda count, p: count > 1 and p != "last"),
    Rule(("readout.paradigm",), ("readout.by_peer",), lambda by_peer: not by_peer, neutral="soft"),
    Rule(("readout.inference", "readout.lags"), ("readout.paradigm",), lambda paradigm: paradigm != "last"),
    Rule(
        ("readout.inference",),
        ("readout.inference", "readout.paradigm", "readout.by_peer"),
        lambda rule, *given: {OWN_RULES.get(paradigm) for paradigm in _paradigms(*given)} != {rule},
        neutral="own",
    ),
    Rule(("readout.distil",), ("peers.count", "readout.paradigm"), lambda count, p: count > 1 and p != "last"),
    Rule(("readout.r",), ("readout.paradigm", "readout.by_peer"), lambda *given: "power" in _paradigms(*given)),
    Rule(("readout.estimator",), ("readout.paradigm", "readout.by_peer"), lambda *given: "hard" in _paradigms(*given)),
    Rule(("readout.samples",), ("readout.estimator",), lambda estimator: estimator != "exact"),
    Rule(("readout.baseline",), ("readout.estimator",), lambda estimator: estimator in ("reinforce", "bound")),
    Rule(("readout.temperature",), ("readout.estimator",), lambda estimator: estimator == "gumbel"),
    Rule(
        ("readout.switch", "readout.switch_rate", "readout.switch_share", "readout.switch_patience"),
        ("readout.paradigm", "readout.by_peer"),
        lambda *given: bool({"hybrid", "lvml-then-hard"}.intersection(given[1] or given[:1])),
    ),
    Rule(("readout.switch_share",), ("readout.switch",), lambda switch: switch == "share"),
    Rule(("readout.switch_patience",), ("readout.switch",), lambda switch: switch == "plateau"),
    Rule(("objective.temporal_variant",), ("objective.temporal",), lambda p: p != 0),
    Rule(("evaluation.steering_by",), ("evaluation.steering",), lambda strength: strength != 0),
    Rule(("objective.mining.by",), ("objective.mining.share",), lambda share: share > 0),
    Rule(("objective.mining.by",), ("peers.count", "objective.mining.by"), lambda k, by: k > 1 or by != "peer", "own"),
    Rule(("objective.mining.share", "objective.mining.hard"), ("objective.mining.by",), lambda by: by != "none"),
    Rule(("objective.mining.sample",), ("objective.mining.by",), lambda by: by not in ("none", "random")),
    Rule(
        ("objective.mining.hard",),
        ("encoder.name", "peers.encoders"),
        lambda *given: "bert4rec" not in _encoders(*given),
    ),
    Rule(("objective.weighting",), ("objective.auxiliary",), bool),
    Rule(("objective.reward_momentum",), ("objective.weighting",), lambda weighting: weighting in ("exp3", "ucb1")),
    *(_term(name, settings) for name, settings in TERMS.items()),
    Rule(("objective.clusters.count", "objective.clusters.dims"), ("objective.clusters.batches",), _equals("apart")),
    Rule(("objective.corruption.share",), ("objective.corruption.negative",), _equals("corrupted")),
    Rule(
        ("objective.distillation.contrast", "objective.distillation.temperature"),
        ("objective.distillation.of",),
        lambda of: of != "logits",
    ),
    Rule(("objective.domains.penalty", "objective.domains.target"), ("objective.domains.weights",), _equals("lasso")),
    Rule(("objective.domains.count",), ("data.source",), lambda source: source != "planted"),  # it has `data.types`
    Rule(("objective.mixup.at", "objective.mixup.margin"), ("objective.mixup.mixed",), lambda weight: weight > 0),
    Rule(("objective.neighbour.momentum",), ("objective.neighbour.branch",), _equals("both")),
    Rule(("objective.preference.horizon",), ("objective.preference.pairs",), _equals("later")),
    Rule(("objective.probabilistic.prior",), ("objective.probabilistic.draws",), _equals("two")),
    Rule(("objective.ranking.steepness",), ("objective.ranking.loss",), _equals("sorting")),
    Rule(
        ("objective.contrastive.views",),
        ("objective.contrastive.views", "objective.contrastive.cl2", "objective.contrastive.r"),
        lambda views, cl2, r: views != "mclrec" or cl2 > 0 or r > 0,
        neutral="cl4srec",
    ),
    Rule(
        tuple(f"objective.contrastive.{one}" for one in ("cl2", "r", "augmenters", "mode")),
        ("objective.contrastive.views",),
        lambda views: views == "mclrec",
    ),
    Rule(("objective.contrastive.order",), ("objective.contrastive.mode",), lambda mode: mode == "alternating"),
    Rule(("objective.contrastive.virtual_rate",), ("objective.contrastive.order",), lambda order: order == "second"),
    Rule(
        tuple(f"objective.contrastive.{one}" for one in ("crop", "mask", "reorder")),
        ("objective.contrastive.views",),
        lambda views: views != "duorec",
    ),
)
"""Applied in this order: a rule may rely on the neutral levels that the rules above it set."""


def canonical(configuration: Configuration, free: Collection[str] = ()) -> Configuration:
    """Set every factor that cannot matter to its neutral level. Canonical configurations are left as they are.

    Args:
        configuration: Any.
        free: Factors still to be searched: what depends on their levels is left as it is.
    """
    for rule in RULES:
        if not any(factor in free for factor in rule.beside) and _idle(rule, configuration):
            configuration = _neutralised(configuration, rule)
    return configuration


def matters(configuration: Configuration, factor: str) -> bool:
    """Whether no rule says that `factor` cannot matter beside the other levels of this configuration."""
    return not any(factor in rule.factors and _idle(rule, configuration) for rule in RULES)


def _idle(rule: Rule, configuration: Configuration) -> bool:
    levels = [level(configuration, factor) for factor in rule.beside]
    return ABSENT not in levels and not rule.matters(*levels)


def _neutralised(configuration: Configuration, rule: Rule) -> Configuration:
    for factor in rule.factors:
        given = level(configuration, factor)
        if given is not ABSENT and given != (neutral := rule.level(configuration, factor)):
            configuration = replaced(configuration, factor, neutral)
    return configuration


@cache
def deciders(factor: str) -> frozenset[str]:
    """Factors whose levels decide, directly or through others, whether `factor` matters."""
    found: set[str] = set()
    waiting = [factor]
    while waiting:
        current = waiting.pop()
        direct = {other for rule in RULES if current in rule.factors for other in rule.beside}
        waiting += direct - found
        found |= direct
    return frozenset(found - {factor})
