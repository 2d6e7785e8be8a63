"""Which host trains which trial."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hail_study.execution.room import Room
from hail_study.execution.ticket import Ticket
from hail_study.execution.work import Work
from hail_study.study import Compute, TrialSpec
from hail_study.study.packing import structure

ASIDE: Final = {"memory": 1e6}
"""What a trial of Tune's takes beside its host: Ray wants something, and every node has this."""


@dataclass(eq=False)
class Place:
    """A host and who is there.

    Attributes:
        members: Key -> what the trial has in common with those it can be stacked with.
        asked: Whether it is there, when it did not take a trial up; None while it takes them up.
    """

    host: Any
    members: dict[str, str | None] = field(default_factory=dict)
    asked: Any = None

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
        answered: Whether a host has answered what it was asked, and well.
    """

    def __init__(
        self, room: Room, start: Callable[[], Any], stop: Callable[[Any], None], answered: Callable[[Any], bool]
    ) -> None:
        self._room, self._start, self._stop, self._answered = room, start, stop, answered
        self.places: list[Place] = []

    def place(self, spec: TrialSpec) -> Any:
        """The host that trains a trial from now on."""
        kind = structure(spec.configuration, spec.fingerprint)
        places = [place for place in self.places if self._has_room(place)]
        places = places or [place for place in self.places if len(place.members) < self._room.pack] or self.places
        found = self._best(kind, places)
        found.members[spec.key] = kind
        return found.host

    def move(self, ticket: Ticket) -> bool:
        """Give a trial whose host did not take it up to another one, where one has room; whether one has."""
        key = ticket.spec.key
        left = next(place for place in self.places if key in place.members)
        if left.asked is None:
            left.asked = left.host.here.options(max_task_retries=-1).remote()
        others = [place for place in self.places if place is not left and self._has_room(place)]
        if not others and len(self.places) >= self._room.hosts:
            return False
        left.host.leave.options(max_task_retries=-1).remote(key)
        kind = left.members.pop(key)
        found = self._best(kind, others)
        found.members[key] = kind
        ticket.host = found.host
        return True

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

    def _best(self, kind: str | None, places: Sequence[Place]) -> Place:
        if len(self.places) < self._room.hosts:
            self.places.append(Place(self._start()))
            return self.places[-1]
        return min(places, key=lambda place: (bool(place.members) and not place.like(kind), len(place.members)))

    def _has_room(self, place: Place) -> bool:
        if place.asked is not None and self._answered(place.asked):
            place.asked = None
        return place.asked is None and len(place.members) < self._room.pack


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
    return Hosts(room, lambda: actor.remote(work, room.pack, ahead), lambda host: ray.kill(host), _answered)


def _answered(asked: Any) -> bool:
    import ray

    if not ray.wait([asked], timeout=0)[0]:
        return False
    try:
        ray.get(asked)
    except ray.exceptions.RayError:
        return False
    return True
