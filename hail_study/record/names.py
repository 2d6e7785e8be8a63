"""How the record's names and values are written in MLflow, and read back."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from posixpath import normpath
from typing import Any, Final

from hail_study.record.errors import RecordError

_OURS: Final = "hail."
KIND: Final = "hail.kind"
STUDY: Final = "hail.study"
ARM: Final = "hail.arm"
ARM_KEY: Final = "hail.arm_key"
KEY: Final = "hail.key"
STATUS: Final = "hail.status"
ERROR: Final = "hail.error"
ATTEMPT: Final = "hail.attempt"
NODES: Final = "hail.nodes"
REPEATED: Final = "hail.repeated"
SUPERSEDED: Final = "hail.superseded"
HYPERPARAMETERS: Final = "hail.hyperparameters"
SCHEDULE: Final = "hail.schedule"
PHASE: Final = "hail.phase"
SEED: Final = "hail.seed"
NUMBER: Final = "hail.number"
FINGERPRINT: Final = "hail.fingerprint"
CODE: Final = "hail.code"
REFERENCE: Final = "hail.reference"
CHANGES: Final = "hail.changes"
OVERRIDES: Final = "hail.overrides"
PROTOCOL: Final = "hail.protocol"
CAUTION: Final = "hail.caution"
SPENT: Final = "hail.spent"
PACK: Final = "hail.pack"
ASKED: Final = "hail.asked"

MODEL: Final = "hail.model"

NOTE: Final = "mlflow.note.content"
PARENT: Final = "mlflow.parentRunId"

EPOCH: Final = "epoch"
"""The newest epoch written; also the prefix of curves, which are thus told from a trial's final metrics."""
_CURVE: Final = "epoch/"
_SYSTEM: Final = "system/"
"""Samples of the machine, under the names that MLflow's page of system metrics shows."""

LONGEST_TAG: Final = 8000
"""Characters MLflow keeps of a tag's value."""

_LEGAL: Final = re.compile(r"[\w.\- :/]+")
_AT: Final = re.compile(r"@(?=\d)")
_LITERAL: Final = re.compile(r"_at_(?=_*\d)")
_STORED: Final = re.compile(r"_at_(_*)(?=\d)")


def stored_metric(name: str) -> str:
    """MLflow's spelling of a metric: `ndcg@10` is `ndcg_at_10` there, for it forbids the sign.

    Raises:
        RecordError: MLflow cannot store this name.
    """
    stored = _AT.sub("_at_", _LITERAL.sub("_at__", name))
    if not _LEGAL.fullmatch(stored) or stored.startswith(("/", "..")) or normpath(stored) != stored:
        raise RecordError(f"metric {name!r}: only letters, digits, `_ - . / :`, spaces and `@` before a number")
    return stored


@lru_cache(maxsize=4096)
def metric(stored: str) -> str:
    """The name that `stored_metric` was given."""
    return _STORED.sub(lambda match: f"_at_{match[1][1:]}" if match[1] else "@", stored)


def stored_curve(name: str) -> str:
    """MLflow's spelling of a metric measured every epoch; samples of the machine keep their names."""
    return stored_metric(name) if name.startswith(_SYSTEM) else _CURVE + stored_metric(name)


def curve(stored: str) -> str | None:
    """The name that `stored_curve` was given, or `None` for another metric."""
    return metric(stored.removeprefix(_CURVE)) if stored.startswith(_CURVE) else None


def is_final(stored: str) -> bool:
    """Whether a stored metric is a trial's own result: no curve and no sample of the machine."""
    return stored != EPOCH and not stored.startswith((_CURVE, _SYSTEM))


def text(value: Any) -> str:
    """A level as MLflow stores it: JSON, but a string stays bare unless it would be read as something else."""
    if isinstance(value, str) and _parsed(value) is None and value != "null":
        return value
    return json.dumps(value, sort_keys=True)


def value(stored: str) -> Any:
    """The level that `text` was given."""
    found = _parsed(stored)
    return stored if found is None and stored != "null" else _thaw(found)


@lru_cache(maxsize=65536)
def _parsed(stored: str) -> Any:
    try:
        return json.loads(stored)
    except (ValueError, RecursionError):
        return None


def _thaw(found: Any) -> Any:
    """Lists are copied: the cache keeps its own."""
    return list(found) if isinstance(found, list) else found


def nested(paths: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths as nested mappings: the inverse of `hail_study.study.flatten`."""
    tree: dict[str, Any] = {}
    for path, level in paths.items():
        *sections, name = path.split(".")
        place = tree
        for section in sections:
            place = place.setdefault(section, {})
        place[name] = level
    return tree


def ours(tags: Mapping[str, str]) -> dict[str, str]:
    """Our own tags, without their prefix."""
    return {tag.removeprefix(_OURS): content for tag, content in tags.items() if tag.startswith(_OURS)}


def shortened(content: str, limit: int = LONGEST_TAG) -> str:
    """A text that fits into a tag; of a longer one the start and the end are kept."""
    if len(content) <= limit:
        return content
    head, mark = limit // 3, "\n[...]\n"
    return content[:head] + mark + content[len(content) - (limit - head - len(mark)) :]
