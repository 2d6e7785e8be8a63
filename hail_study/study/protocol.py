"""How a configuration is judged, in a sentence, and what is to be minded about it."""

from collections.abc import Iterable
from typing import Final

from hail_study.study.configuration import Configuration, FileData
from hail_study.study.tasks import task_of

_SAMPLED: Final = (
    "evaluation.protocol is hail-sampled: each target is ranked among 99 drawn items only. Such metrics are not those "
    "of a full ranking and can order models the other way round (Krichene and Rendle, KDD 2020); and as drawn items "
    "are never in the history, repeating the history alone comes out near the top. Compare models by `full`."
)


def protocol(configuration: Configuration) -> str:
    """Split, candidates, seen items and order of a next-item ranking; nothing for other tasks.

    Examples:
        >>> protocol(Configuration())
        'leave one out; all items ranked, seen ones too'
    """
    if task_of(configuration.data) != "next-item":
        return ""
    return "; ".join(filter(None, (_split(configuration), _candidates(configuration), _order(configuration))))


def protocols(configurations: Iterable[Configuration]) -> list[str]:
    """The different protocols of some configurations, in their order."""
    return list(dict.fromkeys(filter(None, map(protocol, configurations))))


def cautions(configurations: Iterable[Configuration]) -> list[str]:
    """What makes these configurations' metrics misleading, each said once."""
    sampled = any(protocol(one) and one.evaluation.protocol == "hail-sampled" for one in configurations)
    return [_SAMPLED] if sampled else []


def _split(configuration: Configuration) -> str:
    data = configuration.data
    if isinstance(data, FileData) and data.split == "temporal":
        return f"temporal split, validation from {data.valid_from} and test from {data.test_from} on"
    users = getattr(data, "validation_users", "all")
    return "leave one out" + ("" if users == "all" else f", {users} users for validation")


def _candidates(configuration: Configuration) -> str:
    if configuration.evaluation.protocol == "hail-sampled":
        return "each target among 99 items drawn uniformly from those not in the history (hail-sampled)"
    return f"all items ranked, {'without seen ones' if configuration.evaluation.filter_seen else 'seen ones too'}"


def _order(configuration: Configuration) -> str:
    data = configuration.data
    if not isinstance(data, FileData):
        return ""
    return f"equal time stamps {'in file order' if data.ties == 'file-order' else 'by item'}"
