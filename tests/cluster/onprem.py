"""`deploy/onprem.yaml` on test hosts: the file that users get, with addresses put in and nothing to install."""

import time
from pathlib import Path

import yaml
from hosts import Host, Network

ROOT = Path(__file__).parent.parent.parent


class Cluster:
    """A laptop, a head and workers; every command is given on the laptop, as a user gives it.

    Args:
        network: Where the hosts are; it must export what `environment` gives.
        checkout: The folder the laptop's user is in.
        workers: How many there are at first.
        cpus: Of each host, as Ray is told.
    """

    def __init__(self, network: Network, workers: int, checkout: Path = ROOT, cpus: int = 1) -> None:
        self._network, self._checkout, self._cpus = network, checkout, cpus
        self.laptop = network.add("laptop")
        self.head = network.add("head")
        self.workers = [network.add(f"worker-{number}") for number in range(1, workers + 1)]
        self.file = self.laptop.home / "onprem.yaml"
        self.file.write_text(yaml.safe_dump(self.content(), sort_keys=False))
        self.laptop.run("ray get-auth-token --generate")

    def content(self) -> dict[str, object]:
        """The cluster file."""
        found = yaml.safe_load((ROOT / "deploy" / "onprem.yaml").read_text())
        addresses = [worker.address for worker in self.workers]
        found |= {"cluster_name": self._network.tag, "setup_commands": ["chmod 600 ~/.ray/auth_token"]}
        found |= {"min_workers": len(addresses), "max_workers": len(addresses)}
        found["provider"] |= {"head_ip": self.head.address, "worker_ips": addresses}
        found["auth"] = {"ssh_user": "root", "ssh_private_key": str(self._network.key)}
        for name in ("head_start_ray_commands", "worker_start_ray_commands"):
            found[name] = [self._small(line) for line in found[name]]
        return found

    def _small(self, line: str) -> str:
        options = f"ray start --num-cpus={self._cpus} --object-store-memory=200000000 --disable-usage-stats "
        return line.replace("ray start ", options)

    def up(self) -> str:
        """`ray up`; returns what it printed."""
        return self.say(f"ray up --yes --no-config-cache {self.file}")

    def down(self) -> str:
        """`ray down`; returns what it printed. Workers' Ray is stopped first: left alone it ends a minute later."""
        for worker in self.workers:
            worker.run("ray stop --force", check=False)
        return self.say(f"ray down --yes {self.file}")

    def say(self, line: str, check: bool = True) -> str:
        """Give a command on the laptop, in the checkout; returns what it printed."""
        done = self.laptop.run(f"cd {self._checkout} && {line}", check=check, timeout=3600)
        return done.stdout + done.stderr

    def nodes(self, status: str) -> int:
        """Nodes that take part, by what `ray status` says."""
        active = status.partition("Active:")[2].partition("Pending:")[0]
        return sum(int(line.split()[0]) for line in active.splitlines() if line.strip()[:1].isdigit())

    def wait_for(self, nodes: int, seconds: float = 240) -> str:
        """Return what `ray status` says as soon as this many nodes take part."""
        deadline = time.monotonic() + seconds
        while True:
            status = self.head.run("ray status", check=False).stdout
            if self.nodes(status) == nodes:
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {nodes} nodes after {seconds} s:\n{status}")
            time.sleep(2)

    def drive(self, line: str, host: Host | None = None) -> str:
        """Run a line in the folder of studies on the head (or another host); returns what it printed."""
        done = (host or self.head).run(f"cd ~/study && {line}", timeout=3600)
        return done.stdout + done.stderr


def environment(storage: Path) -> dict[str, str]:
    """What every host's `.bashrc` exports: what `deploy/onprem.yaml` sets, and its checkout in place of `pip install`.

    Workers are no less urgent here than the rest: on a busy machine they would hardly get on.
    """
    return {
        "RAY_AUTH_MODE": "${RAY_AUTH_MODE:-token}",
        "HAIL_STORAGE": str(storage),
        "PYTHONPATH": f"$HOME/study:{ROOT}",
        "RAY_worker_niceness": "0",
    }
