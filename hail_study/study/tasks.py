"""Which task a configuration sets, and what in it does not suit that task."""

from collections.abc import Iterator
from typing import Final

from hail_study.study import catalogue
from hail_study.study.canonical import matters
from hail_study.study.configuration import Configuration, Data
from hail_study.study.errors import did_you_mean
from hail_study.study.factors import differing
from hail_study.study.measures import SEARCHED_COSTS, diagnostic_of, is_cost, measures, validated

ONCE: Final = ("gru4rec", "lrurec")
"""Encoders that can be differentiated once."""

PAIRED: Final = ("distillation", "pseudo")
"""Auxiliary terms that need a second peer."""


def task_of(data: Data) -> str:
    """The task that data set: by their source, and for interactions by how many next items are asked for."""
    task = catalogue.TASKS_OF.get(data.source, "next-item")
    return "sets" if task == "next-item" and getattr(data, "targets", 1) > 1 else task


def unmeasured(configuration: Configuration, metric: str) -> str:
    """Why the tests of an arm do not give a metric; empty where they do."""
    task, needed = task_of(configuration.data), diagnostic_of(metric)
    if not measures(task, metric) and not is_cost(metric):
        return f"{metric} is no metric of {configuration.data.source} data" + did_you_mean(metric, validated(task))
    if needed and needed not in configuration.evaluation.diagnostics:
        return f"{metric} is measured by the diagnostic {needed}: add it to metrics.diagnostics"
    return ""


def unvalidated(configuration: Configuration, metric: str) -> str:
    """Why a metric cannot choose an epoch of an arm; empty where it can."""
    task, source = task_of(configuration.data), configuration.data.source
    if metric in validated(task):
        return ""
    if measures(task, metric):
        return f"{metric} is measured at the test alone; validation data give {', '.join(validated(task))}"
    return f"{metric} is no metric of {source} data that could choose an epoch" + did_you_mean(metric, validated(task))


def unsearchable(configuration: Configuration, measurement: str) -> str:
    """Why a search cannot look at a measurement of an arm's trials; empty where it can."""
    known = (*validated(task_of(configuration.data)), *SEARCHED_COSTS)
    if measurement in known:
        return ""
    likely = did_you_mean(measurement, known) or f": it may be one of {', '.join(known)}"
    return f"{measurement} is not measured by a search trial on {configuration.data.source} data{likely}"


def misfits(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """Factors whose levels the task cannot use, each with the reason."""
    objective, task = configuration.objective, task_of(configuration.data)
    if objective.temporal_variant in ("rising", "falling") and float(objective.temporal) == float("inf"):
        yield "objective.temporal", f"`{objective.temporal_variant}` goes through the exponents from 0: not to inf"
    yield from _ranking_alone(configuration)
    if objective.auxiliary:
        yield from _auxiliary(configuration)
    yield from _OF_TASK.get(task, _outside)(configuration)


def _auxiliary(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What auxiliary terms need."""
    source, terms = configuration.data.source, configuration.objective.auxiliary
    ranking = task_of(configuration.data) == "next-item"
    if not ranking or configuration.readout.paradigm != "last":
        which = "readouts that choose among items" if ranking else f"{source} data"
        yield "objective.auxiliary", f"terms beside the loss over the items; {which} have none"
    if "contrastive" in terms and configuration.objective.contrastive.order == "second":
        yield from _differentiated_twice(configuration)
    alone = set(PAIRED).intersection(terms) if configuration.peers.count == 1 else ()
    if "domains" in terms and not _has_domains(configuration):
        yield "objective.auxiliary", "domains need several: planted data with `data.types`, a file with `data.domain`"
    if alone:
        yield "objective.auxiliary", f"{sorted(alone)[0]} is learned from other peers; peers.count is 1"


def _segments(configuration: Configuration) -> Iterator[tuple[str, str]]:
    source = configuration.data.source
    if configuration.readout.paradigm == "last":
        yield "readout.paradigm", f"`last` chooses no segment; {source} data need soft, hard, lvml ..."
    yield from _alone(configuration)


def _memory(configuration: Configuration) -> Iterator[tuple[str, str]]:
    source = configuration.data.source
    if configuration.readout.paradigm != "last":
        yield "readout.paradigm", f"{source} data have no segments to put a focus on; they need `last`"
    if configuration.encoder.name == "bert4rec":
        yield "encoder.name", f"bert4rec sees the future; {source} data need a causal encoder"
    if configuration.peers.encoders:
        yield "peers.encoders", f"on {source} data all peers have one encoder, `encoder.name`"
    if source == "functional" and configuration.objective.temporal_variant == "logits":
        yield "objective.temporal_variant", "a squared error has no `logits`; copying has them"
    yield from _alone(configuration)


def _alone(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What peers on generated examples cannot do together."""
    source, peers = configuration.data.source, configuration.peers
    if peers.count > 1 and peers.coupling != "independent":
        reason = f"{peers.coupling} compares scores of items, which {source} data have not: take `independent` peers"
        yield "peers.coupling", f"{reason}; a focus may be shared by readout.distil"
    if peers.count > 1 and peers.inference == "gate":
        yield "peers.inference", f"gate weighs the peers by their state at an item, of which {source} data have none"


def _next_item(configuration: Configuration) -> Iterator[tuple[str, str]]:
    if configuration.readout.paradigm != "last":
        yield from _focused(configuration)
    if configuration.peers.count > 1:
        yield from _together(configuration)


def _ranking_alone(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What only the ranking of next items has."""
    source, evaluation = configuration.data.source, configuration.evaluation
    ranking = task_of(configuration.data) == "next-item"
    states = ranking and configuration.readout.paradigm == "last"
    if configuration.objective.mining.by != "none" and not states:
        yield "objective.mining.by", "hard targets are those of next items with `readout.paradigm: last`"
    if evaluation.steering and not states:
        yield "evaluation.steering", "states are moved that predict next items with `readout.paradigm: last`"
    if evaluation.diagnostics and not ranking:
        yield "evaluation.diagnostics", f"metrics.diagnostics look at rankings of next items; {source} data have none"


def _differentiated_twice(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What a gradient of second order cannot be taken of."""
    peers = configuration.peers
    for name in dict.fromkeys([*peers.encoders, configuration.encoder.name]):
        if name in ONCE:
            reason = f"{name} computes its gradient in closed form, which has no second order; use order: first"
            yield "objective.contrastive.order", reason
    if peers.count > 1 and peers.coupling == "pcl":
        yield "objective.contrastive.order", "pcl averages the peers whenever its loss is taken; use order: first"


def _has_domains(configuration: Configuration) -> bool:
    data = configuration.data
    return getattr(data, "types", 1) > 1 or getattr(data, "domain", None) is not None


def _structured(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What sets cannot be predicted by."""
    peers, task = configuration.peers, task_of(configuration.data)
    what = "sets of labels" if task == "labels" else "sets of next items"
    if peers.count > 1 and peers.coupling != "independent":
        yield "peers.coupling", f"{what} need peers that are `independent`"
    if configuration.readout.paradigm != "last":
        yield "readout.paradigm", f"{what} are predicted from one state: they need `last`"
    if peers.count > 1 and peers.inference == "gate":
        yield "peers.inference", f"gate is trained by next items; {what} need mean-probability, mean-logit or best"
    if task == "sets":
        yield from _of_next_items(configuration)


def _of_next_items(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What sets of next items cannot be predicted by."""
    data, peers, judged = configuration.data, configuration.peers, configuration.evaluation
    if getattr(data, "split", "leave-one-out") != "leave-one-out":
        yield "data.split", "sets are each user's last items: `data.targets` needs leave-one-out"
    if getattr(data, "validation_users", "all") != "all":
        yield "data.validation_users", "sets of next items are validated with all users"
    if getattr(data, "stride", None) is not None:
        yield "data.stride", "sets of next items are drawn from whole training histories"
    if data.select.method == "color":  # type: ignore[union-attr]
        yield "data.select.method", "color compares losses of next items; sets can be learned from `recent` or `random`"
    if judged.filter_seen or judged.protocol != "full":
        factor = "evaluation.filter_seen" if judged.filter_seen else "evaluation.protocol"
        yield factor, "sets are chosen among the candidates of a base model (objective.structure.candidates)"
    if peers.count > 1:
        yield from _mixed_protocols(configuration)
    if configuration.objective.structure.method == "implicit":
        used = peers.encoders if peers.encoders and peers.count > 1 else [configuration.encoder.name]
        for name in sorted(set(used).intersection(ONCE)):
            yield (
                "objective.structure.method",
                f"implicit differentiates gradients, which {name} computes in closed form",
            )


def _focused(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What a focus on single items cannot be trained with: it has a loss of its own, and no one state that predicts."""
    peers, objective = configuration.peers, configuration.objective
    if "bert4rec" in (configuration.encoder.name, *peers.encoders):
        factor = "peers.encoders" if peers.encoders else "encoder.name"
        yield factor, "bert4rec predicts in the middle; a focus on earlier items needs a causal encoder"
    if peers.count > 1 and peers.coupling != "independent":
        yield "peers.coupling", f"{peers.coupling} needs one state that predicts, which a focus on items does not have"
    if peers.count > 1 and peers.inference == "gate":
        yield "peers.inference", "gate weighs the peers by the one state that predicts, which a focus does not have"
    if peers.hidden:
        yield "peers.hidden", "items are hidden from encoders, and a focus on items would still see them"
    if objective.loss != "cross-entropy":
        yield "objective.loss", f"a focus is trained by the probability among all items, which {objective.loss} has not"
    if objective.temporal_variant == "logits":
        yield "objective.temporal_variant", "a focus on items mixes probabilities: it has no `logits` to scale"


def _together(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """What peers cannot do together."""
    peers, loss = configuration.peers, configuration.objective.loss
    if loss in ("bce", "gbce") and peers.coupling != "independent":
        yield "peers.coupling", f"{peers.coupling} compares probabilities, of which {loss} has none"
    if loss != "cross-entropy" and peers.coupling == "unlikelihood":
        yield "objective.loss", f"unlikelihood looks at items that {loss} may not have sampled"
    yield from _mixed_protocols(configuration)


def _mixed_protocols(configuration: Configuration) -> Iterator[tuple[str, str]]:
    encoders = configuration.peers.encoders
    if "bert4rec" in encoders and set(encoders) != {"bert4rec"}:
        yield "peers.encoders", "bert4rec is trained on masked items, the others on next items: not in one trial"


def _outside(configuration: Configuration) -> Iterator[tuple[str, str]]:
    """A plug-in says which factors its task looks at; any other is left as it is."""
    task, peers = task_of(configuration.data), configuration.peers
    used = (*catalogue.TASKS_OUTSIDE[task].factors, "data", "training", "evaluation.select", "evaluation.diagnostics")

    def looks_at(factor: str) -> bool:
        return any(factor == one or factor.startswith(f"{one}.") for one in used)

    if not looks_at("peers.count") and peers.count > 1:
        yield "peers.count", f"{task} is learned by one network: set it to 1"
    elif not looks_at("peers.coupling") and peers.count > 1 and peers.coupling != "independent":
        yield "peers.coupling", f"peers that learn {task} know nothing of {peers.coupling}: take `independent`"
    for factor in differing(configuration):
        if factor not in ("peers.count", "peers.coupling") and not looks_at(factor) and matters(configuration, factor):
            yield factor, f"{task} does not look at it"


_OF_TASK: Final = {
    "next-item": _next_item,
    "segments": _segments,
    "memory": _memory,
    "labels": _structured,
    "sets": _structured,
}
