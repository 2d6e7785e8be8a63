"""The record of studies, kept by MLflow: the only truth about what was run."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from hail_study.record import names
from hail_study.record.artifacts import check_relative
from hail_study.record.claim import Claim
from hail_study.record.client_reader import ClientReader
from hail_study.record.connection import Connection
from hail_study.record.ledger import Ledger
from hail_study.record.location import locate
from hail_study.record.persistence import Persistence
from hail_study.record.sqlite_reader import SqliteReader
from hail_study.record.stored import Reader
from hail_study.record.writer import Writer

if TYPE_CHECKING:
    import pandas as pd

    from hail_study.data import Dataset
    from hail_study.study import Study, TrialSpec
    from hail_study.study.schema import RecordSettings

PATIENCE: Final = 300.0
"""Seconds for which a store that does not answer is tried again."""
_FIRST_PATIENCE: Final = 20.0
"""The same before anything was written."""
_LAST_PATIENCE: Final = 10.0
"""The same where the user has interrupted."""

T = TypeVar("T")


class Record:
    """Reads and writes the record of one place.

    Writing happens on one background thread, in order; methods return at once, and an error is raised by the next call.
    MLflow is imported by that thread, so that a study need not wait for it. Reading needs no `begin`.

    Args:
        settings: Where the record is kept.
        directory: Where relative paths start; changes of the working directory do not matter afterwards.
        patience: Seconds for which a store that does not answer is tried again before the record counts as lost.

    Raises:
        RecordError: The record cannot be kept there.
    """

    def __init__(self, settings: "RecordSettings", directory: Path, patience: float = PATIENCE) -> None:
        self.location = locate(settings, directory)
        connection = Connection(self.location)
        self._reader: Reader = SqliteReader(self.location) if self.location.database else ClientReader(connection)
        self._ledger = Ledger(connection, self._reader)
        self._claim = Claim(self.location)
        self._started = 0
        self._persistence = Persistence(self.location, patience)
        self._writer = Writer(self._persistence, self._ledger.tick)

    # --- writing ------------------------------------------------------------------------------------------------

    def begin(self, study: "Study", tags: Mapping[str, str], data: "Mapping[str, Dataset] | None" = None) -> None:
        """Open a study: its experiment, its run, and a run for each arm under it; those of before are reopened.

        Args:
            study: What is run.
            tags: Provenance, such as `git.commit`.
            data: Arm key -> its prepared data, shown as the input of the arm and of the trials behind the table.

        Raises:
            RecordError: Another process runs this study; or, as from every writing method, earlier work failed or the
                store is lost.
        """
        self._claim.take(study.file.name)
        self._writer.put(partial(self._ledger.begin, study, dict(tags), dict(data or {}), self._starting()))

    def start(self, trial: "TrialSpec") -> None:
        """Open the run of a trial, under its arm's; an unfinished one with the same key is continued."""
        self._writer.put(partial(self._ledger.start, trial, self._starting()))

    def epoch(self, key: str, epoch: int, metrics: Mapping[str, float]) -> None:
        """Record what an epoch measured; an epoch that the run holds already is left as it is.

        Raises:
            RecordError: A metric's name cannot be stored.
        """
        self._writer.put(partial(self._ledger.epoch, key, epoch, _checked(metrics), _now()))

    def take_up(self, key: str, node: str, epoch: int) -> None:
        """Note that a process on a node trains a trial from the end of an epoch on.

        The run's tags `hail.nodes` and `hail.repeated` tell where a trial ran, and the epochs that were lost.
        """
        self._writer.put(partial(self._ledger.take_up, key, node, epoch))

    def finish(
        self,
        key: str,
        status: Literal["finished", "failed", "pruned"],
        metrics: Mapping[str, float],
        folder: Path | None,
        error: str | None = None,
    ) -> None:
        """Close the run of a trial: files first, then metrics, the status last. A run marked FINISHED is whole.

        Args:
            key: The trial's key.
            status: How it ended.
            metrics: Final metrics.
            folder: Files to keep as artifacts; it must stay until the trial is `written`.
            error: Why it failed.

        Raises:
            RecordError: A metric's name cannot be stored.
        """
        self._writer.put(partial(self._ledger.finish, key, status, _checked(metrics), folder, error, _now()))

    def written(self, key: str) -> bool:
        """Whether the store has taken in the end of a trial; what it was made from is then no longer needed.

        Does not wait: while a store is down, trials finish and their results pile up here.
        """
        return key in self._ledger.ended

    def attach(self, path: Path, folder: str = "") -> None:
        """Copy a file, or what is in a folder, to the artifacts of the study's run.

        Raises:
            RecordError: `folder` leads outside.
        """
        check_relative(folder)
        self._writer.put(partial(self._ledger.attach, path, folder))

    def describe(self, markdown: str) -> None:
        """Replace the description that MLflow shows of the study's run."""
        self._writer.put(partial(self._ledger.describe, markdown))

    def spend(self, budget: str) -> None:
        """Keep which budget ended the study, in words; empty where none did. The tag `hail.spent` of its run has it."""
        self._writer.put(partial(self._ledger.spend, budget))

    def ask(self, keys: Sequence[str]) -> None:
        """Keep that the study, as it is now, asks for trials that were recorded for an earlier form of it.

        The column `asked` of `trials` is then later than `started`, and a report prefers them to those of other forms.
        """
        self._writer.put(partial(self._ledger.ask, list(keys), self._starting()))

    def pack(self, trials: str) -> None:
        """Keep how many trials one process trains together, in words: the tag `hail.pack` of the study's run."""
        self._writer.put(partial(self._ledger.pack, trials))

    def log_model(self, run_id: str, name: str, folder: Path) -> str:
        """Keep a model, as `mlflow.pyfunc.save_model` wrote it, beside the run that made it; waits until it is written.

        Returns:
            The model's id: `models:/<id>` loads it. The run has it as the tag `hail.model`.
        """
        found: list[str] = []
        self._writer.put(lambda: found.append(self._ledger.log_model(run_id, name, folder)))
        self.flush()
        return found[-1]

    def summarise(self, arm: str, metrics: Mapping[str, float]) -> None:
        """Show metrics beside an arm, such as its means over seeds; the newest replace what was shown before.

        Args:
            arm: The arm's key.
            metrics: They appear in MLflow's table of runs only; `trials` does not return them.

        Raises:
            RecordError: A metric's name cannot be stored.
        """
        self._writer.put(partial(self._ledger.summarise, arm, _checked(metrics), _now()))

    def flush(self) -> None:
        """Wait until everything is written."""
        self._writer.put(self._ledger.flush)
        self._writer.flush()

    def end(self, status: Literal["finished", "interrupted", "failed"]) -> None:
        """Close every run of the study that is still open, and wait until everything is written."""
        if status == "interrupted":
            self._persistence.hurry(_LAST_PATIENCE)
        try:
            self._writer.close(partial(self._ledger.end, status, _now()))
        finally:
            self._claim.release()

    def _starting(self) -> int:
        """A time later than the one before, so that runs have an order even where many start in one millisecond."""
        self._started = max(self._started + 1, _now())
        return self._started

    # --- reading ------------------------------------------------------------------------------------------------

    def trials(self, study_name: str, configurations: bool = False) -> "pd.DataFrame":
        """One row per trial of a study, in the order in which they started.

        Args:
            study_name: Of the study.
            configurations: Whether to read each trial's whole configuration, which is most of a record.

        Returns:
            Columns: run_id, key, arm_key, arm, phase, seed, number, status ("finished", "failed", "pruned", "running",
            "interrupted"), fingerprint, code, started, asked (when a study last wanted it, see `ask`), epochs, seconds,
            error, hyperparameters (dict), schedule (list of [until epoch, hyperparameters] that came before),
            configuration (dict) if asked for, and one per final metric ("validation/ndcg@10", "test/ndcg@10",
            "test/peer_0/ndcg@10", ...).
        """
        from hail_study.record import frames

        return frames.trials(self._read(lambda: self._reader.runs(study_name, configurations)), configurations)

    def history(self, study_name: str) -> "pd.DataFrame":
        """Curves of a study's trials: run_id, epoch, metric, value."""
        from hail_study.record import frames

        return self._read(lambda: frames.history(self._reader.curves(study_name)))

    def tags(self, study_name: str) -> "pd.DataFrame":
        """What each run of a study, arm or trial was made with: one row per run.

        Returns:
            Columns: run_id, kind ("study", "arm", "trial"), and one per tag, without the prefix `hail.`, such as
            git.commit, git.dirty, version.torch, python, platform; missing where a run has no such tag.
        """
        from hail_study.record import frames

        return frames.tags(self._read(lambda: self._reader.identities(study_name)))

    def ranks(self, run_id: str) -> "pd.DataFrame":
        """Per-user test ranks of a trial: user, rank and, with several peers, peer_0, ...; int32, 1 is best.

        Raises:
            RecordError: The run has none.
        """
        from hail_study.record import frames

        with self.artifact(run_id, "ranks.parquet") as path:
            return frames.numbers(path)

    @contextmanager
    def artifact(self, run_id: str, path: str) -> Iterator[Path]:
        """A local file with one of a run's artifacts, such as `best.safetensors`; it may go with the context.

        Raises:
            RecordError: The run has none of that name.
        """
        with ExitStack() as stack:
            yield self._read(lambda: self._reader.artifact(run_id, path, lambda: _folder(stack)))

    def outcomes(self, run_id: str) -> "pd.DataFrame":
        """Per-example test metrics of a trial whose task is not ranking: example, and a column per metric.

        Raises:
            RecordError: The run has none.
        """
        from hail_study.record import frames

        with self.artifact(run_id, "outcomes.parquet") as path:
            return frames.numbers(path)

    def finished(self, study_name: str) -> set[str]:
        """Keys of the trials that need not be run again: finished or pruned."""
        return {
            run.tags[names.KEY]
            for run in self._read(lambda: self._reader.identities(study_name))
            if run.status == "FINISHED" and names.KEY in run.tags and names.SUPERSEDED not in run.tags
        }

    def left_open(self, study_name: str) -> bool:
        """Whether a process that is gone left runs of a study open: `begin` and `end` close them."""
        runs = self._read(lambda: self._reader.identities(study_name))
        open_still = any(run.status == "RUNNING" for run in runs if names.KIND in run.tags)
        return open_still and self.runner(study_name) is None

    def runner(self, study_name: str) -> int | None:
        """The process on this machine that runs a study now; None where none does."""
        return self._claim.holder(study_name)

    def _read(self, request: Callable[[], T]) -> T:
        """The answer of the store, which knows all that was written in this process.

        A store that was never reached is given up sooner: its address may be wrong.
        """
        if self._writer.used:
            self.flush()
            return self._persistence(request)
        return Persistence(self.location, min(_FIRST_PATIENCE, self._persistence.patience))(request)


def _folder(stack: ExitStack) -> Path:
    """A folder that goes with the stack: made only where an artifact is fetched, as a report opens thousands."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory()))


def _checked(metrics: Mapping[str, float]) -> dict[str, float]:
    """A copy, in plain floats, of metrics whose names can be stored."""
    for name in metrics:
        names.stored_metric(name)
    return {name: float(value) for name, value in metrics.items()}


def _now() -> int:
    return int(time.time() * 1000)
