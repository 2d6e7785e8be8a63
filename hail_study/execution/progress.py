"""What a study is doing, for the person in front of it: a live table in a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hail_study.execution.agenda import Agenda, ArmAgenda, Outcome
from hail_study.study import TrialSpec
from hail_study.study.measures import sign

_VISIBLE_ARMS = 24
_QUIET = 60.0
"""Seconds after a notice for which others, which will be of the same kind, are not shown."""


@dataclass
class _Running:
    spec: TrialSpec
    epoch: int = 0
    value: float | None = None


@dataclass
class Pace:
    """How long trials take here, for the time that remains.

    Attributes:
        start: Clock at the study's start.
        ended: Trials trained to their end since.
    """

    start: float = field(default_factory=time.monotonic)
    ended: int = 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.start

    def remaining(self, trials: int) -> float | None:
        """Seconds that `trials` more need at the pace so far; None before the first has ended."""
        return self.elapsed / self.ended * trials if self.ended else None


class Progress:
    """Observes trials and shows them. Use as a context manager around the study's run."""

    def __init__(self, agenda: Agenda, console: Console) -> None:
        self._agenda = agenda
        self._console = console
        self._running: dict[str, _Running] = {}
        self._pace = Pace()
        self._noticed = float("-inf")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)

    def __enter__(self) -> "Progress":
        self._pace = Pace()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    # --- Observer -----------------------------------------------------------------------------------------------

    def started(self, spec: TrialSpec) -> None:
        self._running.setdefault(spec.key, _Running(spec))

    def taken_up(self, spec: TrialSpec, node: str, epoch: int) -> None:
        """Where a trial runs is the record's business."""

    def epoch(self, spec: TrialSpec, entry: Mapping[str, float]) -> None:
        running = self._running.setdefault(spec.key, _Running(spec))
        running.epoch = int(entry["epoch"])
        value = entry[f"validation/{spec.configuration.evaluation.select}"]
        running.value = value if running.value is None else better(spec, running.value, value)

    def noticed(self, text: str) -> None:
        if time.monotonic() - self._noticed >= _QUIET:
            self._noticed = time.monotonic()
            self._console.print(Text(text, style="yellow"), soft_wrap=True)

    def ended(self, spec: TrialSpec, outcome: Outcome, metrics: Mapping[str, float], error: str | None) -> None:
        self._running.pop(spec.key, None)
        self._pace.ended += 1
        if outcome.status == "failed":
            self._console.print(Text(f"failed: {spec.label}: {_first_line(error)}", style="red"), soft_wrap=True)
        if not self._console.is_terminal:
            self._console.print(self._line(spec, outcome, metrics), soft_wrap=True, highlight=False)

    # --- plain lines --------------------------------------------------------------------------------------------

    def _line(self, spec: TrialSpec, outcome: Outcome, metrics: Mapping[str, float]) -> str:
        value = (
            "" if outcome.value is None else f"  validation {spec.configuration.evaluation.select} {outcome.value:.4f}"
        )
        cost = f"  {metrics['epochs']:.0f} epochs, {metrics['seconds']:.1f} s" if "seconds" in metrics else ""
        return (
            f"[{self._ended}/{self._agenda.planned}] {self._clock()}  {outcome.status:8} {describe(spec)}{value}{cost}"
        )

    @property
    def _ended(self) -> int:
        """Trials that are over, those counted whose end Tune has told us but not yet the agenda."""
        return min(self._agenda.planned, len(self._agenda.reused) + self._pace.ended)

    def _clock(self) -> str:
        left = self._pace.remaining(self._agenda.planned - self._ended)
        return f"{clock(self._pace.elapsed)} elapsed" + (f", {clock(left)} left" if left is not None else "")

    # --- live table ---------------------------------------------------------------------------------------------

    def _render(self) -> RenderableType:
        ended, planned = self._ended, self._agenda.planned
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        head.add_row(ProgressBar(planned, ended), f"{ended}/{planned} trials  {self._clock()}")
        return Group(head, self._arms(), self._now())

    def _arms(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for name in ("arm", "search", "confirm", "failed"):
            table.add_column(name, justify="left" if name == "arm" else "right")
        table.add_column("best validation", justify="right")
        arms = list(self._agenda.arms.values())
        active = [arm for arm in arms if not arm.done] + [arm for arm in arms if arm.done]
        for arm in active[:_VISIBLE_ARMS]:
            table.add_row(*_arm_row(arm), style="dim" if arm.done else "")
        if len(active) > _VISIBLE_ARMS:
            table.add_row(f"and {len(active) - _VISIBLE_ARMS} more", "", "", "", "")
        return table

    def _now(self) -> Text:
        lines = [
            f"  {describe(one.spec)}  epoch {one.epoch}" + (f"  {one.value:.4f}" if one.value is not None else "")
            for one in list(self._running.values())[:8]
        ]
        return Text("\n".join(["running", *lines]), style="cyan")


def better(spec: TrialSpec, *values: float) -> float:
    """The best of some values of the metric that selects."""
    direction = sign(spec.configuration.evaluation.select)
    return max(values, key=lambda value: direction * value)


def describe(spec: TrialSpec) -> str:
    """A trial in a few words: its arm, its phase, its number or seed, what was searched."""
    which = f"search {spec.number}" if spec.phase == "search" else f"seed {spec.seed}"
    chosen = ", ".join(f"{factor.rpartition('.')[2]}={_short(value)}" for factor, value in spec.hyperparameters.items())
    return f"{spec.arm_name} · {which}" + (f" ({chosen})" if chosen else "")


def clock(seconds: float) -> str:
    """`m:ss` or `h:mm:ss`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _arm_row(arm: ArmAgenda) -> tuple[str, str, str, str, str]:
    outcomes = arm.outcomes.values()
    confirmed = sum(spec.key in arm.outcomes for spec in arm.confirming.values())
    searched = sum(spec.key in arm.outcomes for spec in arm.searched)
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    values = [outcome.value for outcome in outcomes if outcome.value is not None]
    best = better(next(iter(arm.specs.values())), *values) if values else None
    return (
        arm.arm.name,
        f"{searched}/{arm.budget}" if arm.budget else "",
        f"{confirmed}/{arm.planned - arm.budget}",
        str(failed) if failed else "",
        "" if best is None else f"{best:.4f}",
    )


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _first_line(error: str | None) -> str:
    return (error or "no reason given").splitlines()[0]
