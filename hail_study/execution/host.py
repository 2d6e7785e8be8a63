"""The process in which the trials of a pack are trained together. An actor of Ray's; knows Ray only by its worker."""

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from hail_study.execution.session import Session
from hail_study.execution.ticket import Unknown
from hail_study.execution.work import Work
from hail_study.execution.worker import Worker
from hail_study.study import TrialSpec
from hail_study.training.pack import PackFailed, Packs
from hail_study.training.trial import Trial

_log = logging.getLogger(__name__)

LATE: Final = 2.0
"""Seconds for which a round waits for a member whose next epoch nobody has asked for; later ones do without it."""


@dataclass(eq=False)
class Member:
    """One trial of a host.

    Attributes:
        spec: What to train.
        data: Reference to its data.
        session: Open from its first round on.
        asked: Results that were asked for.
        answers: Results and errors not yet handed over.
        answered: Results and errors so far.
        seconds: Of its epochs: its share of the host's time.
        ended: No further result will come.
        late: Rounds do not wait for it.
    """

    spec: TrialSpec
    data: Any
    session: Session | None = None
    asked: int = 0
    answers: deque[dict[str, Any] | Exception] = field(default_factory=deque)
    answered: int = 0
    seconds: float = 0.0
    ended: bool = False
    late: bool = False


class Host:
    """Trains its members in rounds of an epoch each, those together that can be (`Packs`).

    Members come and go at any time and take part from the next round on, until the one after which they left: so a
    pack is refilled and closes ranks. One thread trains; the others, Ray's, wait for what it finds.

    Args:
        work: What is the same for all trials.
        most: Trials of a pack at most.
        ahead: Epochs that are trained before they are asked for, so that nobody waits for Tune. What a scheduler stops
            must not have gone on: 0 where there is one.
    """

    def __init__(self, work: Work, most: int, ahead: int = 0) -> None:
        self._work = work
        self._worker: Worker | None = None
        self._identity = uuid4().hex, os.uname().nodename
        self._packs = Packs(most)
        self._ahead = ahead
        self._members: dict[str, Member] = {}
        self._change = threading.Condition()
        threading.Thread(target=self._train, daemon=True, name="rounds").start()

    def here(self) -> None:
        """Answer as soon as there is a process that can train.

        Raises:
            OSError: See `join`.
        """
        with self._change:
            self._worker = self._worker or Worker(self._work)

    def join(self, spec: TrialSpec, data: Sequence[Any]) -> tuple[str, str]:
        """Take a trial up. One that is here already is opened anew: whoever asked for it before is gone.

        Args:
            spec: What to train.
            data: The reference to its data, in a list, lest Ray look it up.

        Returns:
            A name of this process, which the one that takes its place will not have; and of its machine.

        Raises:
            OSError: The store is another one here than the driver's, or cannot be read.
        """
        self.here()
        with self._change:
            self._members[spec.key] = Member(spec, data[0])
            self._change.notify_all()
        return self._identity

    def next(self, key: str) -> dict[str, Any]:
        """The result of a member's next epoch, as `Session.step` returns it; waits for it.

        Raises:
            Unknown: There is no such member.
            OSError, Fenced: As `Session.step`; the member has left.
        """
        with self._change:
            member = self._members.get(key)
            if member is None:
                raise Unknown(key)
            member.asked, member.late = member.asked + 1, False
            self._change.notify_all()
            self._change.wait_for(lambda: member.answers or self._members.get(key) is not member)
            if not member.answers:
                raise Unknown(key)
            answer = member.answers.popleft()
            self._change.notify_all()
        if isinstance(answer, Exception):
            self.leave(key)
            raise answer
        return answer

    def leave(self, key: str) -> None:
        """Let a member go."""
        with self._change:
            self._members.pop(key, None)
            self._change.notify_all()

    # --- the thread that trains -------------------------------------------------------------------------------------

    def _train(self) -> None:
        while True:
            members = self._due()
            try:
                self._round(members)
            except Exception as error:  # whatever went wrong, nobody may wait for an answer that never comes
                for member in members:
                    self._answer(member, error)

    def _due(self) -> list[Member]:
        """Members of which an epoch is to be trained now: all that will go on, or those that came in time."""
        with self._change:
            self._change.wait_for(lambda: any(map(self._wanted, self._members.values())))
            self._change.wait_for(lambda: not self._missing(), LATE)
            for member in self._missing():
                member.late = True
            return [member for member in self._members.values() if self._wanted(member)]

    def _missing(self) -> list[Member]:
        return [one for one in self._members.values() if not (self._wanted(one) or one.ended or one.late)]

    def _wanted(self, member: Member) -> bool:
        return not member.ended and member.answered - self._ahead < member.asked

    def _round(self, members: Iterable[Member]) -> None:
        trials: dict[int, tuple[Trial, Member]] = {}
        for member in members:
            trial = self._ready(member)
            if trial is not None:
                trials[id(trial)] = trial, member
        for trial, entry in self._packs.step([trial for trial, _ in trials.values()]):
            member = trials[id(trial)][1]
            if isinstance(entry, PackFailed):
                self._fall_back(member, entry)
            else:
                self._report(member, entry if isinstance(entry, Exception) else None)

    def _ready(self, member: Member) -> Trial | None:
        """A member's training, where an epoch of it is to come; otherwise the member has its answer."""
        try:
            assert self._worker is not None
            member.session = member.session or self._worker.open(member.spec, member.data)
            trial = member.session.ready()
        except Exception as error:
            self._report(member, error)
            return None
        if trial is None:
            self._report(member)
        return trial

    def _report(self, member: Member, error: Exception | None = None) -> None:
        """Hand over what an epoch gave, unless it was one that had been reported before a pack failed."""
        try:
            session = member.session
            if session is None or self._worker is None:
                raise error or Unknown(member.spec.key)
            found = self._worker.outcome(lambda: session.report(error))
        except Exception as lost:
            self._answer(member, lost)
            return
        member.seconds += sum(entry["seconds"] for entry in found["entries"])
        if found["entries"] or found["done"] or "notice" in found:
            self._answer(member, found | {"node": self._worker.node, "share": member.seconds})

    def _answer(self, member: Member, answer: dict[str, Any] | Exception) -> None:
        with self._change:
            member.answers.append(answer)
            member.answered += 1
            member.ended = isinstance(answer, Exception) or answer["done"]
            if member.ended:
                member.session = None
            self._change.notify_all()

    def _fall_back(self, member: Member, failed: PackFailed) -> None:
        """Members of a pack that failed go on from their checkpoints, in smaller packs."""
        if self._packs.most >= failed.trials:
            self._packs.most = max(1, failed.trials // 2)
            _log.warning("a pack of %d failed (%s); packs of %d from here on", failed.trials, failed, self._packs.most)
        if member.session is not None:
            member.session.reopen()
