"""A study from its plan to its record."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from hail_study.data import Dataset, prepare, require_users
from hail_study.execution.agenda import Agenda, Outcome
from hail_study.execution.cluster import where
from hail_study.execution.compilers import obstacle
from hail_study.execution.notices import DataFiles, outdated, overlooked
from hail_study.execution.provenance import differs, provenance
from hail_study.execution.running import tell, train
from hail_study.execution.sampling import Tried
from hail_study.execution.store import Store
from hail_study.execution.version import version_for
from hail_study.execution.warmstart import Taken, take
from hail_study.record import Record
from hail_study.study import Compute, Place, Problem, Study, StudyError, cautions
from hail_study.study.dependencies import unselected
from hail_study.study.keys import digest
from hail_study.study.load import place_of
from hail_study.study.sections import without_password

if TYPE_CHECKING:
    from hail_study.execution.session import Sessions
    from hail_study.report import Table


def datasets(study: Study) -> dict[str, Dataset]:
    """Arm key -> prepared data; arms with the same data share one.

    Raises:
        hail_study.data.DataError: The data cannot be read or are too few.
    """
    asked = {arm.key: unselected(arm.configuration.data) for arm in study.arms}
    texts = {key: data.model_dump_json() for key, data in asked.items()}  # a plug-in's settings may hold lists
    different = {text: asked[key] for key, text in texts.items()}
    prepared = {text: prepare(data) for text, data in different.items()}
    for text, data in different.items():
        require_users(prepared[text], data)
    return {key: prepared[text] for key, text in texts.items()}


def open_agenda(
    study: Study,
    data: Mapping[str, Dataset],
    trials: pd.DataFrame,
    rerun: Sequence[str] = (),
    earlier: Mapping[str, Sequence[Tried]] | None = None,
) -> Agenda:
    """The agenda of a study, less what the record's `trials` already hold.

    Args:
        study: From `load`.
        data: From `datasets`.
        trials: From `Record.trials`.
        rerun: Keys of arms that are trained anew.
        earlier: Arm key -> another study's search trials to learn from.
    """
    selected = {
        arm.key: f"validation/{arm.configuration.evaluation.select}" for arm in study.arms if arm.key not in rerun
    }
    ended = trials[trials["status"].isin(["finished", "pruned"]) & trials["arm_key"].isin(selected)]
    known = {
        row["key"]: Outcome(row["status"], row.get(selected[row["arm_key"]]), _measured(row))
        for row in ended.to_dict("records")
    }
    fingerprints = {key: prepared.fingerprint for key, prepared in data.items()}
    return Agenda(study, fingerprints, version_for(study), known, earlier)


def _measured(row: Mapping[Any, Any]) -> dict[str, float]:
    """A recorded trial's numbers; those it was not measured by are left out."""
    numbers = {str(name): float(value) for name, value in row.items() if isinstance(value, int | float)}
    return {name: value for name, value in numbers.items() if value == value}


def learned(study: Study, record: Record, trials: pd.DataFrame) -> Taken:
    """What `search.warm_start` gives."""
    source = study.file.search.warm_start if study.file.search else None
    return take(study, trials, record.trials(source)) if source else Taken()


@dataclass(frozen=True)
class Ending:
    """How a study's run ended.

    Attributes:
        complete: Every trial of the study has ended.
        failed: Trials that failed; running the study again tries them again.
        spent: The budget that ended the study before it was complete, in words; empty where none did.
        halted: What kept trials from being trained to their end, in words; empty where nothing did.
        unconfirmed: Names of the arms whose search gave no value to choose by; nothing of them is confirmed.
        table: Its results so far; None where no trial has finished.
        reports: Files written.
    """

    complete: bool
    failed: int = 0
    spent: str = ""
    halted: str = ""
    unconfirmed: tuple[str, ...] = ()
    table: "Table | None" = None
    reports: tuple[Path, ...] = ()


def execute(
    study: Study,
    record: Record,
    directory: Path,
    console: Console,
    address: str | None = None,
    rerun: Sequence[str] = (),
    session: "Sessions | None" = None,
) -> Ending:
    """Train whatever of the study the record does not hold yet, and report.

    Running it again is how a study is resumed.

    Args:
        study: From `hail_study.study.load`.
        record: Where trials are written.
        directory: Where relative paths start.
        console: Where progress is shown.
        address: Of a Ray cluster, see `cluster`.
        rerun: Names of arms to train again, whatever the record holds of them.
        session: What a worker does with a trial; default: train it. Others give what was not trained (`simulated`,
            `replayed`): use a record and a directory in which nothing else is kept, the keys are the same.

    Raises:
        hail_study.study.StudyError: `rerun` names an arm that the study does not have, or the study is to be compiled
            by a machine that cannot.
        hail_study.data.DataError: The data cannot be read or are too few.
        NoCluster: There is no cluster, or no trial fits on it.
        hail_study.record.RecordError: The record cannot be read or written.
        OSError: The checkpoint store cannot be written.
    """
    files = DataFiles(study)
    data = datasets(study)
    trials = record.trials(study.file.name)
    taken = learned(study, record, trials)
    agenda = open_agenda(study, data, trials, _keys(study, rerun), taken.trials)
    finished = agenda.peek() is None and agenda.done
    if finished and not overlooked(study, agenda, trials) and not record.left_open(study.file.name):
        return _report(study, record, directory, agenda)
    _check_compiler(study, address)
    store = Store(checkpoints(study, record, directory))
    store.check()
    for caution in filter(None, [*cautions(arm.configuration for arm in study.arms), differs()]):
        console.print(f"Caution: {caution}", style="yellow", highlight=False)
    from hail_study.execution.models import keep_models

    record.begin(study, provenance(study.path.parent), data)
    ending = Ending(complete=False)
    try:
        idle = [f"remove {part}: changes nothing, the reference is without it" for part in study.idle]
        tell(console, [*idle, *taken.told, *outdated(study, agenda, trials)])
        spent, halted = "", ""
        if not finished:
            searcher = train(study, agenda, data, record, store, console, address, trials, session)
            spent, halted = "" if agenda.done else searcher.spent, searcher.halted
        record.spend(spent)
        record.ask(overlooked(study, agenda, trials))
        ending = replace(_report(study, record, directory, agenda), spent=spent, halted=halted)
        if spent:
            record.describe(f"Ended early: {spent}.")
        for path in ending.reports:
            record.attach(path, "report")
        tell(console, files.changed())
        if session is None:
            keep_models(study, record, data)
    finally:
        record.end("finished" if ending.complete else "interrupted")
    return ending


def _report(study: Study, record: Record, directory: Path, agenda: Agenda) -> Ending:
    from hail_study.report import NoResults, build_table, results, write_report
    from hail_study.report.write import written

    ending = Ending(agenda.done, agenda.statuses["failed"], unconfirmed=agenda.unconfirmed)
    try:
        found = results(record, study)
    except NoResults:
        return ending
    folder = directory / study.file.record.reports / study.file.name
    table = build_table(found)
    return replace(ending, table=table, reports=tuple(written(found, folder) or write_report(found, folder, table)))


def _keys(study: Study, names: Sequence[str]) -> list[str]:
    try:
        return [study.arm(name).key for name in names]
    except KeyError as error:
        raise StudyError([Problem(f"--rerun: {error.args[0]}", "", Place(0, 0, "command line"))]) from error


def _check_compiler(study: Study, address: str | None) -> None:
    """Before Ray is started here; the nodes of a cluster are asked once it is there."""
    compute = study.file.compute
    if compute.compile == "none" or where(compute, address) != "local":
        return
    why = obstacle(gpu=compute.gpus > 0)
    if why:
        raise StudyError([Problem(why, "compute.compile", place_of(study, ("compute", "compile")))])


def checkpoints(study: Study, record: Record, directory: Path) -> str:
    """A place of the study's own among the checkpoints of all that are kept there.

    Trials of studies with the same base have the same keys. Each study forgets what its record has; in a place that is
    not this directory's there may be studies of one name and several records.

    Raises:
        StudyError: As `storage`.
    """
    place, mark, options = storage(study.file.compute, directory).partition("?")
    own = Path(place).is_relative_to(directory.resolve())
    name = study.file.name if own else f"{study.file.name}-{digest(record.location.tracking, 8)}"
    return f"{place.rstrip('/')}/{name}{mark}{options}"


def storage(compute: Compute, directory: Path) -> str:
    """Where checkpoints are kept, each study's in a place of its own: a URI, or a folder made absolute.

    Raises:
        StudyError: `HAIL_STORAGE` holds a password, which messages would show.
    """
    try:
        named = compute.storage or without_password(os.environ.get("HAIL_STORAGE", "")) or ".hail"
    except ValueError as error:
        raise StudyError([Problem(f"HAIL_STORAGE: {error}", "", Place(0, 0, "environment"))]) from error
    return named if "://" in named else str((directory / named).resolve())
