"""What a study's user should know before its trials start: why some that are recorded do not count."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from hail_study.execution.agenda import Agenda
from hail_study.execution.version import version_for
from hail_study.report.trials import select
from hail_study.study import FileData, Study


def outdated(study: Study, agenda: Agenda, trials: pd.DataFrame) -> Iterator[str]:
    """Arms whose recorded trials were trained on other data or by other code, and are therefore trained again.

    Args:
        study: What is about to run.
        agenda: Of it; it knows the data.
        trials: From `Record.trials`.
    """
    code = version_for(study)
    ended = trials[trials["status"].isin(["finished", "pruned"]) & (trials["phase"] != "baseline")]
    for arm in study.arms:
        ours = ended[ended["arm_key"] == arm.key]
        other_data = int((ours["fingerprint"] != agenda.arms[arm.key].fingerprint).sum())
        other_code = int((ours["code"] != code).sum())
        if len(ours) and other_data == len(ours):
            yield f"{arm.name}: the data changed since its {len(ours)} recorded trials, which no longer count"
        elif len(ours) and other_code == len(ours):
            yield f"{arm.name}: the training code changed since its {len(ours)} recorded trials, which no longer count"


def overlooked(study: Study, agenda: Agenda, trials: pd.DataFrame) -> list[str]:
    """Keys of recorded trials that the agenda reuses, and that a report would leave out for those of another form.

    A study that goes back to an earlier setting trains nothing: what was started last is not what it asks for.

    Args:
        study: What is run.
        agenda: Of it.
        trials: From `Record.trials`, as they were before this run: what it adds is of the form that it asks for.
    """
    if not len(trials):
        return []
    kept, _ = select(trials, study)
    return sorted(agenda.reused.difference(kept["key"]))


class DataFiles:
    """Notices when a file of interactions changes while a study runs: what was read at the start stays in use."""

    def __init__(self, study: Study) -> None:
        data = [arm.configuration.data for arm in study.arms]
        self._before = {path: _state(path) for path in {Path(one.path) for one in data if isinstance(one, FileData)}}

    def changed(self) -> list[str]:
        """One line for each file that is not what it was."""
        return [
            f"{path} changed while the study ran: the results are for the file as it was at the start; the same "
            "command, given again, trains on the file as it is now"
            for path, before in self._before.items()
            if _state(path) != before
        ]


def _state(path: Path) -> tuple[int, int] | None:
    if not path.exists():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_size
