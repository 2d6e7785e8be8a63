"""The training of a study's trials: Ray, Tune and what they are told."""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from hail_study.data import Dataset
from hail_study.execution.agenda import Agenda
from hail_study.execution.budget import Spending
from hail_study.execution.cluster import cluster, where
from hail_study.execution.progress import Progress
from hail_study.execution.recording import Recorder
from hail_study.execution.room import Room, wants
from hail_study.execution.sources import Sources
from hail_study.execution.store import Store
from hail_study.execution.termination import termination_as_interrupt
from hail_study.execution.version import version_for
from hail_study.record import Record
from hail_study.study import Compute, Study

if TYPE_CHECKING:
    from hail_study.execution.events import Observer
    from hail_study.execution.hosts import Hosts
    from hail_study.execution.session import Sessions
    from hail_study.execution.tune import StudySearcher
    from hail_study.execution.work import Work


def train(
    study: Study,
    agenda: Agenda,
    data: Mapping[str, Dataset],
    record: Record,
    store: Store,
    console: Console,
    address: str | None,
    trials: pd.DataFrame,
    session: "Sessions | None",
) -> "StudySearcher":
    """Train what the agenda asks for.

    Args:
        study: Whose trials they are.
        agenda: What is left to be trained.
        data: Arm key -> its data.
        record: Where trials are written.
        store: Of checkpoints and results.
        console: Where progress is shown.
        address: Of a Ray cluster, see `cluster`.
        trials: From `Record.trials`, of what was trained before.
        session: What a worker does with a trial; None: train it.

    Returns:
        The searcher, which knows whether a budget or a fault ended it.

    Raises:
        NoCluster: There is no cluster, or no trial fits on it.
        OSError: A node does not reach the store.
    """
    recorder = Recorder(record, store, agenda)
    # Ray takes SIGTERM for itself when it starts, so the handler comes after it.
    with (
        cluster(study.file.compute, address, lambda line: tell(console, [line])) as room,
        store.marked() as mark,
        termination_as_interrupt(record),
        Progress(agenda, console) as progress,
    ):
        local = where(study.file.compute, address) == "local"
        code = "" if local else version_for(study)
        work = work_for(study, store, mark, session, code)
        room.check_nodes(work)
        from hail_study.execution.baselines import record_baselines
        from hail_study.execution.idle import workers_kept
        from hail_study.execution.losses import every_loss_known
        from hail_study.execution.tune import StudySearcher, early_stopping

        # Only here, with Ray up: whatever waits for the record waits until its thread has imported MLflow.
        record_baselines(record, study, data, set(trials.loc[trials["status"] == "finished", "key"]))
        shared = _shared(data)
        room.pack = _pack(study, agenda, shared, room, work, record, console)
        # Trials that are not trained learn from none.
        supply = Sources(record, store, study.file.name).supply if session is None else lambda spec: None
        with _hosts(study, room, work) as hosts:
            scheduled = early_stopping(study.file.search) is not None
            searcher = StudySearcher(agenda, _spending(study, trials), room, supply, shared, hosts, scheduled)
            trainable = _trainable(study.file.compute, None if hosts else work)
            with workers_kept(lambda: searcher.coming), every_loss_known():
                _tuner(study, trainable, searcher, store, [recorder, progress, *_mirrors(study)], hosts).fit()
        recorder.settle()
    return searcher


def tell(console: Console, lines: Iterable[str]) -> None:
    """Say lines that are to be read as they stand."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def _spending(study: Study, trials: pd.DataFrame) -> Spending:
    import ray

    nodes = sum(node["Alive"] for node in ray.nodes())
    return Spending(study.file.budget, study.file.compute, trials, nodes, time.time())


def _shared(data: Mapping[str, Dataset]) -> dict[str, Any]:
    """Fingerprint -> reference to the data, which so travel once."""
    import ray

    return {prepared.fingerprint: ray.put(prepared) for prepared in data.values()}


def work_for(study: Study, store: Store, mark: str, session: "Sessions | None", code: str = "") -> "Work":
    """What workers are told."""
    from hail_study.execution.work import Work

    compute = study.file.compute
    return Work(
        storage=store.uri,
        mark=mark,
        interval=compute.checkpoint_seconds,
        system_seconds=study.file.record.system_seconds,
        plugins=study.file.plugins,
        folder=str(study.path.parent.resolve()),
        code=code,
        threads=compute.threads or max(1, int(compute.cpus)),
        memory=compute.memory,
        compile=compute.compile,
        session=session,
    )


def _pack(
    study: Study,
    agenda: Agenda,
    shared: Mapping[str, Any],
    room: Room,
    work: "Work",
    record: Record,
    console: Console,
) -> int:
    """Trials that one process trains together; those of a session of one's own are trained one by one."""
    wanted = study.file.compute.pack
    if work.session is not None or wanted == 1:
        return 1
    if wanted == "auto":
        from hail_study.execution.probing import found_pack

        pack, why = found_pack(study, agenda, shared, room, work)
    else:
        pack, why = wanted, str(wanted)
    tell(console, [f"compute.pack: {why}"])
    record.pack(why)
    return pack


@contextmanager
def _hosts(study: Study, room: Room, work: "Work") -> "Iterator[Hosts | None]":
    """What trains packs; None where trials are trained one by one."""
    if room.pack == 1:
        yield None
        return
    from hail_study.execution.hosts import ray_hosts

    search = study.file.search
    hosts = ray_hosts(room, study.file.compute, work, ahead=int(search is None or search.scheduler == "none"))
    try:
        yield hosts
    finally:
        hosts.close()


def _trainable(compute: Compute, work: "Work | None") -> Any:
    """What Tune starts: a worker, or where there is no work for one, what speaks for a trial that a host trains."""
    from ray import tune

    from hail_study.execution.hosts import ASIDE
    from hail_study.execution.packed import PackedTrainable
    from hail_study.execution.tune import StudyTrainable

    if work is None:
        return tune.with_resources(PackedTrainable, tune.PlacementGroupFactory([ASIDE]))
    trainable = tune.with_parameters(StudyTrainable, work=work)
    return tune.with_resources(trainable, tune.PlacementGroupFactory([wants(compute)]))


def _tuner(
    study: Study,
    trainable: Any,
    searcher: "StudySearcher",
    store: Store,
    observers: Sequence["Observer"],
    hosts: "Hosts | None",
) -> Any:
    """Tune, which asks the searcher and nobody else how many trials may run at a time."""
    from ray import tune

    from hail_study.execution.events import Events
    from hail_study.execution.losses import Losses
    from hail_study.execution.tune import scheduler_for

    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = "1000"
    file, events = study.file, Events(observers)
    moving = {"move": hosts.move} if hosts else {}
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler_for(study),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=lambda trial: trial.trial_id,
            trial_dirname_creator=lambda trial: trial.trial_id,
        ),
        run_config=tune.RunConfig(
            name=f"{file.name}-tune",
            storage_path=store.uri,
            callbacks=[Losses(file.compute.retries, events.notice, **moving), events],
            failure_config=tune.FailureConfig(max_failures=-1),
            verbose=0,
        ),
    )


def _mirrors(study: Study) -> list["Observer"]:
    storage = study.file.search.mirror if study.file.search else None
    if storage is None:
        return []
    from hail_study.execution.mirror import Mirror

    return [Mirror(study, storage)]
