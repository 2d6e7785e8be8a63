"""`compute.pack: auto`: how many trials one process trains together."""

from collections.abc import Mapping, Sequence
from typing import Any

from hail_study.execution.agenda import Agenda
from hail_study.execution.room import Room
from hail_study.execution.work import Work
from hail_study.execution.worker import Worker
from hail_study.study import Compute, Configuration, Study
from hail_study.study.packing import structure
from hail_study.training import probe


def found_pack(study: Study, agenda: Agenda, shared: Mapping[str, Any], room: Room, work: Work) -> tuple[int, str]:
    """The number of trials for `room.pack`, and what it rests on, in one line.

    One arm is probed, the first whose trials can share a pack, with what one trial takes and where one may run.
    """
    left = agenda.planned - agenda.statuses.total()
    most = min(probe.MOST, left // max(1, room.hosts))
    arms = (one for one in agenda.arms.values() if structure(one.arm.configuration, one.fingerprint))
    arm = next((one for one in arms if not one.sources), None)
    if arm is None:
        return 1, "no arm's trials can share a pack: they run one by one"
    if most < 2:
        return 1, f"{left} trials on {room.hosts} places: they run one by one"
    found = _measured(study.file.compute, work, arm.arm.configuration, [shared[arm.fingerprint]], most)
    shown = ", ".join(f"{trials}: {1000 * seconds:.0f}" for trials, seconds in found.items())
    return probe.best(found), f"{probe.best(found)} (milliseconds an epoch and trial, by trials together: {shown})"


def _measured(compute: Compute, work: Work, *task: Any) -> probe.Times:
    import ray

    from hail_study.execution.room import wants

    wanted = wants(compute)
    options = {"num_cpus": wanted.pop("CPU"), "num_gpus": wanted.pop("GPU", 0), "memory": wanted.pop("memory", None)}
    remote = ray.remote(max_calls=1)(_probe).options(**options, resources=wanted)
    times: probe.Times = ray.get(remote.remote(work, *task))
    return times


def _probe(work: Work, configuration: Configuration, data: Sequence[Any], most: int) -> probe.Times:
    import ray

    return probe.times(configuration, ray.get(data[0]), Worker(work).device, most)
