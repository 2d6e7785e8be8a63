"""What the record holds of one study: the trials that count, in an order of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from hail_study.report.trials import select
from hail_study.study.measures import is_cost, sign
from hail_study.study.protocol import cautions, protocols
from hail_study.study.pruning import seeds_given
from hail_study.study.schema import Pruning, SequentialSeeds
from hail_study.study.tasks import task_of
from hail_study.training.metrics import gains, is_ranking

if TYPE_CHECKING:
    from hail_study.study import Arm, Study


_SOFTWARE: Final = ("git.", "version.", "python", "platform", "cpus")


class Reader(Protocol):
    """The reading half of `hail_study.record.Record`; anything with these frames can be reported on."""

    def trials(self, study_name: str) -> pd.DataFrame: ...
    def history(self, study_name: str) -> pd.DataFrame: ...
    def tags(self, study_name: str) -> pd.DataFrame: ...
    def ranks(self, run_id: str) -> pd.DataFrame: ...
    def outcomes(self, run_id: str) -> pd.DataFrame: ...


def _changes_data_only(arm: "Arm") -> bool:
    return bool(arm.changes) and all(factor.startswith("data.") for factor in arm.changes)


class NoResults(Exception):
    """The record holds no finished trial of the study."""


@dataclass(frozen=True)
class Results:
    """The trials of a study that its file asks for, and what they measured.

    Attributes:
        study: As loaded from its file.
        trials: One row per trial (columns: `hail_study.record.Record.trials`), sorted by phase, arm, seed and number.
        superseded: Trials of this study's arms left out: other code, data, seeds or hyperparameters than the latest.
        reader: Where curves and ranks are read when asked for.
    """

    study: "Study"
    trials: pd.DataFrame
    superseded: int
    reader: Reader

    def of(self, arm: "Arm", phase: str = "confirm") -> pd.DataFrame:
        """All trials of an arm in a phase, whatever became of them."""
        return self._trials.get((arm.key, phase), self.trials.iloc[:0])

    @cached_property
    def _trials(self) -> dict[tuple[str, str], pd.DataFrame]:
        """Arm key and phase -> trials: with many arms, looking for each in all of them is most of a report's time."""
        return {(str(arm), str(phase)): rows for (arm, phase), rows in self.trials.groupby(["arm_key", "phase"])}

    def finished(self, arm: "Arm") -> pd.DataFrame:
        """The confirm trials of an arm that finished, indexed by seed."""
        if arm.key not in self._finished:
            trials = self.of(arm)
            self._finished[arm.key] = trials[trials["status"] == "finished"].set_index("seed")
        return self._finished[arm.key]

    @cached_property
    def _finished(self) -> dict[str, pd.DataFrame]:
        return {}

    def data(self, arm: "Arm") -> str:
        """Fingerprint of the data an arm was trained on; empty where it has no trial."""
        found = self.of(arm)["fingerprint"].dropna()
        return str(found.iloc[0]) if len(found) else ""

    def compared_with(self, arm: "Arm") -> "Arm | None":
        """The arm that an arm is compared with: the reference on the same data.

        Scores on different data are not paired. Where data are a factor of the study, the reference on other data is
        the arm that changes nothing but the data; it is itself compared with nothing, as is an arm without one.
        """
        data, ours = self.data(arm), self.data(self.study.reference)
        if arm.reference:
            return None
        if not data or not ours or data == ours:
            return self.study.reference
        if _changes_data_only(arm):
            return None
        return next((one for one in self.study.arms if self.data(one) == data and _changes_data_only(one)), None)

    @property
    def sequential(self) -> SequentialSeeds | None:
        """How seeds are added, in a study that adds them until comparisons are decided."""
        seeds = self.study.file.seeds
        return seeds if isinstance(seeds, SequentialSeeds) else None

    def planned_seeds(self, arm: "Arm") -> int:
        """Seeds an arm should have: all, or those it got before it was pruned, or those of the look it has reached."""
        if self.study.file.pruned and not arm.reference:
            return self._unpruned_seeds(arm, self.study.file.pruned)
        if self.sequential is None:
            return len(self.study.file.seed_list)
        tried = len(self.of(arm))
        return next(look for look in self.sequential.looks if look >= tried or look == self.sequential.max)

    def _unpruned_seeds(self, arm: "Arm", pruning: Pruning) -> int:
        seeds = self.study.file.seed_list
        better = sign(self.study.reference.configuration.evaluation.select)
        differences = better * (self._validation(arm) - self._validation(self.study.reference))
        known = [differences.get(seed) for seed in seeds]
        return seeds_given([None if pd.isna(one) else one for one in known], pruning.looks(len(seeds)), pruning.level)

    def _validation(self, arm: "Arm") -> pd.Series:
        """The metric that selects, by seed."""
        trials = self.finished(arm)
        column = f"validation/{arm.configuration.evaluation.select}"
        return trials.get(column, pd.Series(np.nan, trials.index)).astype(float)

    @property
    def spent(self) -> str:
        """The budget that ended the study before all was done, in words; empty where none did."""
        tags = self.reader.tags(self.study.file.name)
        if "spent" not in tags:
            return ""
        known = tags.loc[tags["kind"] == "study", "spent"].dropna().tolist()
        return str(known[-1]) if known else ""

    def count(self, arm: "Arm", status: str, phase: str = "confirm") -> int:
        return int((self.of(arm, phase)["status"] == status).sum())

    def scores(self, arm: "Arm", metric: str) -> pd.Series:
        """Test metric of an arm's finished confirm trials by seed; from the ranks where it was not recorded."""
        if (arm.key, metric) not in self._known_scores:
            self._known_scores[arm.key, metric] = self._scores(self.finished(arm), metric)
        return self._known_scores[arm.key, metric]

    @cached_property
    def _known_scores(self) -> dict[tuple[str, str], pd.Series]:
        return {}

    def _scores(self, trials: pd.DataFrame, metric: str) -> pd.Series:
        column = metric if is_cost(metric) else f"test/{metric}"
        known = trials.get(column, pd.Series(index=trials.index, dtype=float)).dropna().astype(float)
        if len(known) or not is_ranking(metric):
            return known
        measured = [float(gains(metric, self._ranks(run).to_numpy()).mean()) for run in trials["run_id"]]
        return pd.Series(measured, index=trials.index, dtype=float)

    def user_gains(self, arm: "Arm", metric: str) -> pd.DataFrame:
        """Seeds x users, each user's contribution to a test metric."""
        if is_cost(metric):
            return pd.DataFrame()
        if not is_ranking(metric) or task_of(arm.configuration.data) != "next-item":
            outcomes = self._outcomes(arm)
            return pd.DataFrame({seed: frame[metric] for seed, frame in outcomes.items() if metric in frame}).T
        ranks = self.test_ranks(arm)
        users = next(iter(ranks.values())).index if ranks else pd.Index([])
        if all(column.index.equals(users) for column in ranks.values()):  # as it is but for data that changed
            stacked = np.stack([gains(metric, column.to_numpy()) for column in ranks.values()]) if ranks else None
            return pd.DataFrame(stacked, index=list(ranks), columns=users)
        rows = {seed: pd.Series(gains(metric, column.to_numpy()), column.index) for seed, column in ranks.items()}
        return pd.DataFrame(rows).T

    def _outcomes(self, arm: "Arm") -> dict[int, pd.DataFrame]:
        """What each finished seed's trial measured of every test example, indexed by example."""
        return {seed: self.reader.outcomes(run).set_index("example") for seed, run in self._runs(arm).items()}

    def test_ranks(self, arm: "Arm") -> dict[int, pd.Series]:
        """Rank of each user's test target, indexed by user, for each finished seed."""
        return {seed: self._ranks(run) for seed, run in self._runs(arm).items()}

    def _runs(self, arm: "Arm") -> dict[int, str]:
        """Run of each finished seed."""
        finished = self.finished(arm)
        return dict(zip(finished.index.astype(int).tolist(), finished["run_id"], strict=True))

    def paired_user_gains(self, arm: "Arm", metric: str) -> npt.NDArray[np.float64]:
        """[S, U], arm minus the one it is compared with, for seeds and users that both have; empty if not recorded."""
        from hail_study.record import RecordError

        other = self.compared_with(arm)
        if other is None:
            return np.empty((0, 0))
        try:
            ours, theirs = self.user_gains(arm, metric), self._others_gains(other, metric)
        except RecordError:
            return np.empty((0, 0))
        difference = (ours - theirs).dropna(how="all").dropna(axis=1)
        return difference.to_numpy(dtype=np.float64)

    def _others_gains(self, arm: "Arm", metric: str) -> pd.DataFrame:
        """`user_gains` of an arm that others are compared with, kept: it is asked for once for each of them."""
        if (arm.key, metric) not in self._gains:
            self._gains[arm.key, metric] = self.user_gains(arm, metric)
        return self._gains[arm.key, metric]

    @cached_property
    def _gains(self) -> dict[tuple[str, str], pd.DataFrame]:
        return {}

    @cached_property
    def baselines(self) -> pd.DataFrame:
        """Finished baseline runs on the reference's data, indexed by name."""
        rows = self.trials[(self.trials["phase"] == "baseline") & (self.trials["status"] == "finished")]
        data = set(self.of(self.study.reference)["fingerprint"])
        same = rows[rows["fingerprint"].isin(data)] if data else rows
        return same.drop_duplicates("arm", keep="last").set_index("arm").sort_index()

    def baseline_scores(self, metric: str) -> pd.Series:
        """Test metric of each baseline, indexed by its name."""
        return self._scores(self.baselines, metric)

    @cached_property
    def history(self) -> pd.DataFrame:
        """Curves of every trial: run_id, epoch, metric, value."""
        return self.reader.history(self.study.file.name)

    def curves(self, metric: str) -> pd.DataFrame:
        """A metric of every trial's curve, epochs x runs."""
        if metric not in self._curves:
            ours = self.history[self.history["metric"] == metric]
            self._curves[metric] = ours.pivot_table(index="epoch", columns="run_id", values="value")
        return self._curves[metric]

    @cached_property
    def _curves(self) -> dict[str, pd.DataFrame]:
        return {}

    def _ranks(self, run_id: str) -> pd.Series:
        """Rank of each user's test target, indexed by user."""
        if run_id not in self._read_ranks:
            read = self.reader.ranks(run_id)
            ranks = pd.Series(read["rank"].to_numpy(), index=read["user"].to_numpy(), name="rank")
            self._read_ranks[run_id] = ranks if ranks.index.is_monotonic_increasing else ranks.sort_index()
        return self._read_ranks[run_id]

    @cached_property
    def _read_ranks(self) -> dict[str, pd.Series]:
        return {}

    def provenance(self) -> dict[str, Any]:
        """What the table was made of: enough to see whether two may be compared. Baselines on earlier data are not."""
        confirmed = self.trials["phase"] == "confirm"
        made = self.trials[confirmed | self.trials["run_id"].isin(self.baselines["run_id"])]
        return {
            "data": sorted(set(made["fingerprint"].dropna().astype(str))),
            "code": sorted(set(made["code"].dropna().astype(str))),
            "superseded_trials": self.superseded,
            "software": self._software(),
            "protocols": protocols(arm.configuration for arm in self.study.arms),
            "cautions": cautions(arm.configuration for arm in self.study.arms),
        }

    def _software(self) -> dict[str, list[str]]:
        """Commits, versions and machines the trials were started with, by the names of the record's tags."""
        tags = self.reader.tags(self.study.file.name)
        ours = tags[tags["run_id"].isin(self.trials["run_id"])]
        names = sorted(str(name) for name in ours if str(name).startswith(_SOFTWARE))
        return {name: sorted(set(ours[name].dropna())) for name in names}


def results(reader: Reader, study: "Study") -> Results:
    """Read a study's trials from the record and keep those its file asks for.

    Trials of other arms, other seeds or search trials beyond the budget are left out. Where the record holds an arm's
    trials in several versions (of the code, the data or the chosen hyperparameters), only the latest version counts:
    versions are never mixed in one table.

    Raises:
        NoResults: No confirm trial of the study has finished.
    """
    name = study.file.name
    recorded = reader.trials(name)
    kept, superseded = select(recorded, study) if len(recorded) else (recorded, 0)
    if not len(kept) or not ((kept["phase"] == "confirm") & (kept["status"] == "finished")).any():
        raise NoResults(f"no finished trial of study {name} in the record; run it first")
    return Results(study, kept, superseded, reader)


def open_results(path: Path | str, overrides: Sequence[str] = (), directory: Path | str = ".") -> Results:
    """Load a study and read its results, as the command line does.

    Args:
        path: The study file.
        overrides: Changes of it (`seeds=5`).
        directory: Where the study was run; relative paths of the record start there.

    Raises:
        StudyError: The study file is wrong.
        RecordError: There is no record.
        NoResults: The record holds no finished trial of the study.
    """
    from hail_study.record import Record
    from hail_study.study import load

    study = load(path, overrides, check_data=False)
    return results(Record(study.file.record, Path(directory)), study)
