"""The conformance suites by the kind of component, and what each says of one."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final
from unittest import SkipTest

from pydantic import TypeAdapter

from hail_study.models import Encoder
from hail_study.objectives.auxiliary import Auxiliary
from hail_study.objectives.couplings import Coupling
from hail_study.objectives.items import ItemLoss
from hail_study.study import catalogue
from hail_study.study.configuration import Data
from hail_study.study.measures import RECORDED
from hail_study.testing import sources, tasks
from hail_study.testing.auxiliaries import AUXILIARY_CHECKS
from hail_study.testing.couplings import COUPLING_CHECKS, settings_of
from hail_study.testing.encoders import ENCODER_CHECKS
from hail_study.testing.losses import LOSS_CHECKS
from hail_study.testing.metrics import METRIC_CHECKS

Check = Callable[[Any], None]


@dataclass(frozen=True)
class Suite:
    """Checks of one kind of component.

    Attributes:
        kind: What the components are called, as in `hail_study.study.Plugin`.
        checks: Functions of a subject that raise AssertionError where it does not conform, SkipTest where there is
            nothing to check.
        known: The components of the catalogue.
        base: What classes of this kind derive from; None where components are functions or need settings.
        subject: From a component's name, what the checks are functions of, as long as the context lasts.
    """

    kind: str
    checks: tuple[Check, ...]
    known: Mapping[str, str]
    base: type | None
    subject: Callable[[str], AbstractContextManager[Any]]

    @property
    def names(self) -> list[str]:
        """Of all components of the catalogue."""
        return list(self.known)


@dataclass(frozen=True)
class Verdict:
    """What one check says of one component.

    Attributes:
        check: The check's name in words.
        reason: Why it failed, or why it was skipped; empty where it passed.
        failed: The component does not conform.
        skipped: There was nothing to check.
    """

    check: str
    reason: str = ""
    failed: bool = False
    skipped: bool = False

    def __str__(self) -> str:
        word = "FAILED" if self.failed else "skipped"
        return f"{word}: {self.reason}" if self.failed or self.skipped else "ok"


def verdicts(checks: Sequence[Check], subject: Any) -> Iterator[Verdict]:
    """Every check's verdict on a subject, in order. What raises any other error has failed.

    Args:
        checks: One of the suites.
        subject: What its checks are functions of.
    """
    for check in checks:
        name = check.__name__.replace("_", " ")
        try:
            check(subject)
        except AssertionError as error:
            yield Verdict(name, str(error).strip().partition("\n")[0], failed=True)
        except SkipTest as reason:
            yield Verdict(name, str(reason), skipped=True)
        except Exception as error:
            yield Verdict(name, f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}", failed=True)
        else:
            yield Verdict(name)


def failures(checks: Sequence[Check], subject: Any) -> dict[str, str]:
    """The checks that a subject does not pass, each with the reason; empty where it conforms."""
    return {verdict.check: verdict.reason for verdict in verdicts(checks, subject) if verdict.failed}


def every(kind: str) -> list[str]:
    """The names of all components of a kind (`Suite.kind`): what a test that every one conforms goes over."""
    return next(suite.names for suite in SUITES if suite.kind == kind)


def _class(known: Mapping[str, str]) -> Callable[[str], AbstractContextManager[Any]]:
    return lambda name: nullcontext(catalogue.resolve(known[name]))


def _coupling(name: str) -> AbstractContextManager[Any]:
    return nullcontext(catalogue.resolve(catalogue.COUPLINGS[name])(settings_of(coupling=name)))


@contextlib.contextmanager
def _data(name: str) -> Iterator[Any]:
    with sources.small(name) as settings:
        yield TypeAdapter(Data).validate_python(settings)


class _Metrics(Mapping[str, str]):
    """Names of metrics of rankings: those that every trial records, and those of plug-ins."""

    def __iter__(self) -> Iterator[str]:
        return iter((*RECORDED, *catalogue.METRICS))

    def __len__(self) -> int:
        return len(RECORDED) + len(catalogue.METRICS)

    def __getitem__(self, name: str) -> str:
        return catalogue.METRICS.get(name, "hail_study.training.metrics:gains")


SUITES: Final = (
    Suite("encoders", ENCODER_CHECKS, catalogue.ENCODERS, Encoder, _class(catalogue.ENCODERS)),
    Suite("couplings", COUPLING_CHECKS, catalogue.COUPLINGS, Coupling, _coupling),
    Suite("losses", LOSS_CHECKS, catalogue.ITEM_LOSSES, ItemLoss, _class(catalogue.ITEM_LOSSES)),
    Suite("auxiliaries", AUXILIARY_CHECKS, catalogue.AUXILIARIES, Auxiliary, _class(catalogue.AUXILIARIES)),
    Suite("metrics", METRIC_CHECKS, _Metrics(), None, nullcontext),
    Suite("sources", sources.SOURCE_CHECKS, catalogue.SOURCES, None, _data),
    Suite("tasks", tasks.TASK_CHECKS, catalogue.TASKS, None, tasks.small),
)
"""In the order in which a component of each kind is built upon by the next."""
