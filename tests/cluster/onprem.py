"""`deploy/onprem.yaml` on test hosts: the file that users get, with addresses put in and nothing to install."""

import time
from pathlib import Path

import yaml
from hosts import Host, Network

ROOT = Path(__file__).parent.parent.parent
_INSTALLING = ("test -x ~/venv", "~/venv/bin/pip")


class Cluster:
    """A laptop, a head and workers; every command is given on the laptop, as a user gives it.

    Args:
        network: Where the hosts are; it must export what `environment` gives.
        checkout: The folder the laptop's user is in.
        workers: How many there are.
        head_cpus: What Ray is told the head has; every worker has one.
        wanted: Workers that `ray up` starts; default: all.
    """

    def __init__(
        self, network: Network, workers: int, checkout: Path = ROOT, head_cpus: int = 1, wanted: int | None = None
    ) -> None:
        self._network, self._checkout, self._head_cpus = network, checkout, head_cpus
        self.laptop = network.add("laptop")
        self.head = network.add("head")
        self.workers = [network.add(f"worker-{number}") for number in range(1, workers + 1)]
        self.file = self.laptop.home / "onprem.yaml"
        self.want(workers if wanted is None else wanted)
        self.laptop.run("ray get-auth-token --generate")

    @property
    def hosts(self) -> list[Host]:
        """All of them."""
        return [self.laptop, self.head, *self.workers]

    def want(self, workers: int) -> None:
        """Write the cluster file, with so many workers to be started."""
        self.file.write_text(yaml.safe_dump(self._content(workers), sort_keys=False))

    def _content(self, wanted: int) -> dict[str, object]:
        found = yaml.safe_load((ROOT / "deploy" / "onprem.yaml").read_text())
        addresses = [worker.address for worker in self.workers]
        found["cluster_name"] = self._network.tag
        found["setup_commands"] = [line for line in found["setup_commands"] if not line.startswith(_INSTALLING)]
        found |= {"min_workers": wanted, "max_workers": len(addresses)}
        found["provider"] |= {"head_ip": self.head.address, "worker_ips": addresses}
        found["auth"] = {"ssh_user": "root", "ssh_private_key": str(self._network.key)}
        for name, cpus in {"head_start_ray_commands": self._head_cpus, "worker_start_ray_commands": 1}.items():
            found[name] = [_small(line, cpus) for line in found[name]]
        return found

    def up(self, *options: str) -> str:
        """`ray up`; returns what it printed."""
        return self.say(" ".join(["ray up --yes --no-config-cache", *options, str(self.file)]))

    def down(self) -> str:
        """`ray down`; returns what it printed.

        It ends the head's Ray. That of the workers would end a minute later; were it ended first, the head would
        start it again.
        """
        printed = self.say(f"ray down --yes {self.file}")
        for worker in self.workers:
            worker.run("ray stop --force", check=False)
        return printed

    def say(self, line: str, check: bool = True) -> str:
        """Give a command on the laptop, in the checkout; returns what it printed."""
        done = self.laptop.run(f"cd {self._checkout} && {line}", check=check, timeout=3600)
        return done.stdout + done.stderr

    def nodes(self, status: str) -> int:
        """Nodes that take part, by what `ray status` says."""
        active = status.partition("Active:")[2].partition("Pending:")[0]
        return sum(int(line.split()[0]) for line in active.splitlines() if line.strip()[:1].isdigit())

    def wait_for(self, nodes: int, seconds: float = 600) -> str:
        """Return what `ray status` says as soon as this many nodes take part."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.head.run("ray status", check=False).stdout
            if self.nodes(status) == nodes:
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {nodes} nodes after {seconds} s:\n{status}")
            time.sleep(3)

    def drive(self, line: str, host: Host | None = None) -> str:
        """Run a line in the folder of studies on the head (or another host); returns what it printed."""
        done = (host or self.head).run(f"cd ~/study && {line}", timeout=3600)
        return done.stdout + done.stderr


def _small(line: str, cpus: int) -> str:
    """A small node; on a busy machine one that does not start in Ray's 30 seconds starts again."""
    if "ray start" not in line:
        return line
    options = f"ray start --num-cpus={cpus} --object-store-memory=200000000 --disable-usage-stats "
    return f"for n in 1 2 3; do {line.replace('ray start ', options)} && break; ray stop --force; done"


def environment(storage: Path) -> dict[str, str]:
    """What every host's `.bashrc` exports: what `deploy/onprem.yaml` sets, and its checkout in place of `pip install`.

    Workers are no less urgent here than the rest: on a busy machine they would hardly get on. Ray's watch over memory
    is off: all hosts share the machine's, and what others use there says nothing of a host.
    """
    return {
        "RAY_AUTH_MODE": "${RAY_AUTH_MODE:-token}",
        "HAIL_STORAGE": str(storage),
        "PYTHONPATH": f"$HOME/study:{ROOT}",
        "RAY_worker_niceness": "0",
        "RAY_memory_monitor_refresh_ms": "0",
    }
