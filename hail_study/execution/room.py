"""How many trials fit on a cluster whose nodes come and go."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from hail_study.execution.compilers import obstacle
from hail_study.execution.store import Store
from hail_study.execution.version import other_code
from hail_study.execution.work import Work
from hail_study.study import Compute
from hail_study.study.plugins import PluginError, activate

_FRESH: Final = 1.0
"""Seconds for which the number of nodes is not asked for again."""
_POLL: Final = 1.0
_PROBE: Final = 120.0
"""Seconds in which a node must answer whether it reaches the store."""


class NoCluster(RuntimeError):
    """The cluster cannot be reached, or nothing of the study fits on it, or a node of it cannot be used."""


def wants(compute: Compute) -> dict[str, float]:
    """What one trial takes, in Ray's words."""
    memory = {"memory": compute.memory * 1e9} if compute.memory else {}
    return {"CPU": compute.cpus, **({"GPU": compute.gpus} if compute.gpus else {}), **memory, **compute.resources}


class Room:
    """The nodes of the cluster that this process is connected to, and what fits on them.

    Args:
        compute: The study's `compute` section.
        grows: Whether nodes may join; they are then asked for as trials need them.

    Attributes:
        pack: Trials that take together what one takes alone.
    """

    pack = 1

    def __init__(self, compute: Compute, grows: bool) -> None:
        self._wanted = wants(compute)
        self._most = compute.concurrent
        self._grows = grows
        self._asked = 0
        self._looked = float("-inf")
        self._fits = 0

    @property
    def slots(self) -> int:
        """Trials that fit at a time now, each on one node."""
        packed = self._fit * self.pack
        return min(packed, self._most or packed)

    @property
    def hosts(self) -> int:
        """Processes that fit at a time now and have trials to train."""
        return min(self._fit, self._most or self._fit)

    @property
    def _fit(self) -> int:
        """What is wanted for one trial, how often it fits."""
        if time.monotonic() - self._looked > _FRESH:
            self._fits = sum(self._fitting(node["Resources"]) for node in _nodes())
            self._looked = time.monotonic()
        return self._fits

    def _fitting(self, resources: Mapping[str, float]) -> int:
        return min(_times(name, amount, resources.get(name, 0)) for name, amount in self._wanted.items())

    def wait(self, seconds: float, say: Callable[[str], None]) -> None:
        """Return as soon as a trial fits.

        Args:
            seconds: How long to wait for a node, where nodes may join.
            say: Told once what is waited for.

        Raises:
            NoCluster: None joined.
        """
        if self.slots:
            return
        lacking = self._lacking()
        if not self._grows or not seconds:
            raise NoCluster(lacking)
        say(f"{lacking}; waiting up to {seconds:g} s for a node that has it")
        self.ask(1)
        deadline = time.monotonic() + seconds
        while not self.slots:
            if time.monotonic() > deadline:
                raise NoCluster(
                    f"{self._lacking()}; no node that has it joined in {seconds:g} s (compute.wait_seconds)"
                )
            time.sleep(_POLL)
        say("a node has joined; the study starts")

    def ask(self, trials: int) -> None:
        """Have an autoscaler bring as many nodes as this many trials need; 0 lets idle ones go."""
        wanted = -(-min(trials, self._most or trials) // self.pack)
        if self._grows and wanted != self._asked:
            from ray.autoscaler.sdk import request_resources

            self._asked = wanted
            request_resources(bundles=[self._wanted] * wanted)

    def check_nodes(self, work: Work) -> None:
        """Make sure that every node on which trials fit reads and writes the driver's store, has the driver's training
        code, and can compile where that is asked for.

        Raises:
            NoCluster: One does not; the message names it.
        """
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = [node for node in _nodes() if self._fitting(node["Resources"])]
        probe = ray.remote(num_cpus=0, max_retries=0)(_unfit)
        answers = [
            probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)).remote(
                work, "GPU" in self._wanted
            )
            for node in nodes
        ]
        for node, answer in zip(nodes, answers, strict=True):
            try:
                problem = ray.get(answer, timeout=_PROBE)
            except ray.exceptions.RayError as error:
                problem = _unreached(work.storage, str(error).splitlines()[0])
            if problem:
                raise NoCluster(f"node {node['NodeManagerHostname']} ({node['NodeManagerAddress']}) {problem}")

    def _lacking(self) -> str:
        wanted = {**self._wanted, **({} if "GPU" in self._wanted else {"GPU": 0})}
        have = {name: sum(node["Resources"].get(name, 0) for node in _nodes()) for name in wanted}
        need = " and ".join(_amount(name, amount) for name, amount in wanted.items())
        text = f"a trial needs {need}, the cluster has " + " and ".join(_amount(*item) for item in have.items())
        spread = all(have[name] >= amount for name, amount in wanted.items())
        return f"{text}, but no node of it has that alone" if spread else text


def _times(name: str, amount: float, there: float) -> int:
    """How often an amount fits; Ray gives a fraction of a GPU within one GPU."""
    if name == "GPU" and amount < 1:
        return int(there) * int(1 / amount + 1e-9)
    return int(there / amount + 1e-9)


def _nodes() -> list[dict[str, Any]]:
    import ray

    return [node for node in ray.nodes() if node["Alive"]]


def _unfit(work: Work, gpu: bool) -> str:
    """What is wrong with the node this runs on; nothing where it can be used."""
    try:
        store = Store(work.storage)
        store.require(work.mark)
        store.check()
        if work.code:
            activate(work.plugins, work.folder)
    except OSError as error:
        return _unreached(work.storage, str(error))
    except PluginError as error:
        return f"cannot use the study's plug-ins: {error}"
    if problem := other_code(work):
        return problem
    why = obstacle(gpu) if work.compile != "none" else ""
    return f"cannot compile: {why}" if why else ""


def _unreached(uri: str, problem: str) -> str:
    place = "it must be one place for all nodes: a shared folder, NFS, or s3://..."
    return f"cannot use compute.storage {uri}: {problem}; {place}"


def _amount(name: str, amount: float) -> str:
    if name == "memory":
        return f"{amount / 1e9:g} GB of memory"
    return f"{amount:g} {name}s" if name in ("CPU", "GPU") else f"{amount:g} of {name}"
