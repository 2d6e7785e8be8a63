"""Which host trains which trial."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hail_study.execution.room import Room
from hail_study.execution.work import Work
from hail_study.study import Compute, TrialSpec
from hail_study.study.packing import structure

ASIDE: Final = {"memory": 1e6}
"""What a trial of Tune's takes beside its host: Ray wants something, and every node has this."""


@dataclass(eq=False)
class Place:
    """A host and who is there: key -> what the trial has in common with those it can be stacked with."""

    host: Any
    members: dict[str, str | None] = field(default_factory=dict)

    def like(self, kind: str | None) -> int:
        """Members of a kind."""
        return Counter(self.members.values())[kind]


class Hosts:
    """Places trials on hosts: as many hosts as trials fit at a time unpacked, `room.pack` trials on each.

    A trial goes where others of its structure are, so that packs are large, and among those to the emptiest host, so
    that no device idles.

    Args:
        room: Of the cluster.
        start: Starts a host.
        stop: Ends one.
    """

    def __init__(self, room: Room, start: Callable[[], Any], stop: Callable[[Any], None]) -> None:
        self._room, self._start, self._stop = room, start, stop
        self.places: list[Place] = []

    def place(self, spec: TrialSpec) -> Any:
        """The host that trains a trial from now on."""
        kind = structure(spec.configuration, spec.fingerprint)
        found = self._best(kind)
        found.members[spec.key] = kind
        return found.host

    def free(self, key: str) -> None:
        """A trial has ended."""
        for place in self.places:
            if key in place.members:
                del place.members[key]
                place.host.leave.remote(key)

    def close(self) -> None:
        """End all hosts."""
        for place in self.places:
            self._stop(place.host)
        self.places.clear()

    def _best(self, kind: str | None) -> Place:
        if len(self.places) < self._room.hosts:
            self.places.append(Place(self._start()))
            return self.places[-1]
        open_places = [place for place in self.places if len(place.members) < self._room.pack] or self.places
        return min(open_places, key=lambda place: (bool(place.members) and not place.like(kind), len(place.members)))


def ray_hosts(room: Room, compute: Compute, work: Work, ahead: int) -> Hosts:
    """Hosts on the cluster that this process is connected to; one that is lost is started again, empty."""
    import ray

    from hail_study.execution.host import Host

    actor = ray.remote(Host).options(
        num_cpus=compute.cpus,
        num_gpus=compute.gpus,
        memory=int(compute.memory * 1e9) if compute.memory else None,
        resources=dict(compute.resources),
        max_concurrency=2 * room.pack + 8,
        max_restarts=-1,
    )
    return Hosts(room, lambda: actor.remote(work, room.pack, ahead), lambda host: ray.kill(host))
