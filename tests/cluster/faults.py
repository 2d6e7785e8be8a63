"""Faults on real hosts while a study runs, and what became of it: each is compared with the undisturbed run.

    python tests/cluster/faults.py analysis/results/cluster/faults.md      about half an hour; needs root

A head, two workers and an MLflow server with PostgreSQL behind it, each a host of its own (`hosts.py`). Workers can
reach neither the server nor its database. Written: the exit status of the command that met the fault and, where that is
not 0, of the one that continued; whether the final table is the same to the byte; trials recorded twice; runs left
RUNNING; failed trials; how often a process had to take a trial up again (`hail.nodes`); and the epochs that were
trained again, in all and the most of one trial (`hail.repeated`).
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from hosts import Host, end_in_order, network
from onprem import Cluster, environment
from servers import MlflowServer

_STUDY: Final = """\
name: {name}
data: {{source: planted, users: 400, items: 100, length: 12, max_length: 12, k_core: 0}}
base:
  encoder: {{dim: 32, blocks: 1, heads: 2}}
  training: {{epochs: 12, patience: 0, batch: 64, learning_rate: 0.01}}
vary: {{peers.count: [1, 2]}}
seeds: 2
record: {{models: none}}
compute: {{checkpoint_seconds: 0, retries: 0}}
"""
"""A checkpoint each epoch, and no retries: a lost node must not count as a failure of its trials."""

Fault = Callable[["Ground", subprocess.Popen[bytes]], None]


class Ground:
    """The hosts on which studies are broken.

    Attributes:
        store: The folder of checkpoints: a volume of its own, which can be filled.
    """

    def __init__(self, cluster: Cluster, server: MlflowServer, store: Path) -> None:
        self.cluster, self.server, self.store = cluster, server, store

    @property
    def worker(self) -> Host:
        """The host that faults hit."""
        return self.cluster.workers[0]

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """Run a study on the head."""
        (self.cluster.head.home / "study" / f"{name}.yaml").write_text(_STUDY.format(name=name))
        line = f"cd ~/study && hail-study run {name}.yaml --address auto >> {name}.log 2>&1"
        return subprocess.Popen(self.cluster.head.command(line), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def under_way(self, process: subprocess.Popen[bytes], checkpoints: int = 2) -> None:
        """Return when some trials are in the middle of their training."""
        while process.poll() is None and len(list(self.store.rglob("epoch-*.safetensors"))) < checkpoints:
            time.sleep(0.2)

    def table(self, name: str) -> str:
        """The final table, without the study's name."""
        path = self.cluster.head.home / "study" / "reports" / name / "table.json"
        return path.read_text().replace(name, "NAME") if path.exists() else ""


def main() -> None:
    """Print the table and write it."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--only", nargs="*", help="names of faults, shortened; default: all")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, ground(Path(folder)) as where:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        rows: list[list[str]] = []
        for row in _rows(where, arguments.only):
            rows.append(row)
            arguments.output.write_text(_document(rows))


@contextmanager
def ground(folder: Path, workers: int = 2) -> Iterator[Ground]:
    """A cluster that is up, an MLflow server, and a small volume for checkpoints."""
    store, private = folder / "shared", folder / "mlflow"
    store.mkdir()
    private.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", store], check=True)
    try:
        with network(folder, **environment(store)) as hosts:
            cluster = Cluster(hosts, workers)
            server = MlflowServer(hosts.add("mlflow"), private)
            lines = [f"export {name}={value}\n" for name, value in server.credentials.items()]
            secret = cluster.head.home / ".hail_credentials"
            secret.touch(mode=0o600)
            secret.write_text("".join(lines))
            for worker in cluster.workers:
                worker.refuse(server.address)
            cluster.up()
            cluster.wait_for(1 + workers)
            yield Ground(cluster, server, store)
    finally:
        subprocess.run(["umount", "-l", store], check=False)


def _rows(where: Ground, only: list[str] | None) -> Iterator[list[str]]:
    whole = where.start("undisturbed")
    whole.wait()
    expected = where.table("undisturbed")
    yield _row(where, "undisturbed", "undisturbed", whole.returncode, expected)
    for number, (title, fault) in enumerate(FAULTS.items(), 1):
        if only and not any(title.startswith(word) for word in only):
            continue
        name = f"fault-{number}"
        process = where.start(name)
        where.under_way(process)
        fault(where, process)
        status = process.wait()
        if status:
            where.start(name).wait()
        yield _row(where, title, name, status, expected)
        where.cluster.wait_for(1 + len(where.cluster.workers))


def _row(where: Ground, title: str, name: str, status: int, expected: str) -> list[str]:
    os.environ.update(where.server.credentials)
    trials = _trials(name)
    kinds = [trial.data.tags["hail.key"] for trial in trials]
    moves = sum(len(trial.data.tags.get("hail.nodes", "").split()[1:]) for trial in trials)
    repeated = [int(trial.data.tags.get("hail.repeated", "0")) for trial in trials]
    cells = [
        title,
        str(status),
        "identical" if expected and where.table(name) == expected else "DIFFERENT",
        str(len(kinds) - len(set(kinds))),
        str(sum(trial.info.status == "RUNNING" for trial in trials)),
        str(sum(trial.info.status == "FAILED" for trial in trials)),
        str(moves),
        str(sum(repeated)),
        str(max(repeated, default=0)),
    ]
    print(" | ".join(cells), flush=True)
    return cells


def _trials(name: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return []
    found = client.search_runs([experiment.experiment_id], "tags.`hail.kind` = 'trial'", max_results=1000)
    return [run for run in found if "hail.superseded" not in run.data.tags]


def _document(rows: list[list[str]]) -> str:
    head = [
        "fault",
        "exit",
        "table",
        "duplicates",
        "left RUNNING",
        "failed",
        "taken up again",
        "epochs again",
        "most of one trial",
    ]
    lines = [head, ["---"] * len(head), *rows]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    command = "python " + " ".join(["tests/cluster/faults.py", *sys.argv[1:]])
    return f"# Faults on real hosts\n\nMade by `{command}`: {__doc__.split('Written: ')[1].strip()}\n\n{table}\n"


# --- faults -----------------------------------------------------------------------------------------------------------


def _kill_host(where: Ground, _: subprocess.Popen[bytes]) -> None:
    where.worker.kill()
    time.sleep(30)
    where.worker.start()


def _cut_link(where: Ground, _: subprocess.Popen[bytes]) -> None:
    where.worker.cut()
    time.sleep(60)
    where.worker.heal()


def _kill_driver(where: Ground, process: subprocess.Popen[bytes]) -> None:
    where.cluster.head.run("pkill -9 -f '[h]ail-study run'", check=False)
    process.wait()


def _stop_server(where: Ground, _: subprocess.Popen[bytes]) -> None:
    where.server.stop()
    time.sleep(60)
    where.server.start()


def _restart_database(where: Ground, _: subprocess.Popen[bytes]) -> None:
    where.server.restart_database()


def _fill_volume(where: Ground, _: subprocess.Popen[bytes]) -> None:
    rubbish = where.store / "rubbish"
    subprocess.run(["dd", "if=/dev/zero", f"of={rubbish}", "bs=64k"], stderr=subprocess.DEVNULL, check=False)
    time.sleep(45)
    rubbish.unlink()


def _slow_host(where: Ground, process: subprocess.Popen[bytes]) -> None:
    where.worker.slow_down(0.1)
    time.sleep(60)
    where.worker.slow_down(2)


FAULTS: Final[dict[str, Fault]] = {
    "worker host killed, back after 30 s": _kill_host,
    "worker's link cut for 60 s": _cut_link,
    "driver killed, command given again": _kill_driver,
    "MLflow server stopped for 60 s": _stop_server,
    "PostgreSQL restarted": _restart_database,
    "checkpoint volume full for 45 s": _fill_volume,
    "worker host at a tenth of a CPU for 60 s": _slow_host,
}

if __name__ == "__main__":
    main()
