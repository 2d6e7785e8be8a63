"""A study from `ray up` to `ray down` on two hosts, as its user sees it: every command, what it printed, who ran what.

    python tests/cluster/journey.py studies/ablation.yaml analysis/results/cluster seeds=3

Writes `journey.log` (commands and output), `trials.csv` (which trial ran where) and screenshots of MLflow and the Ray
dashboard, taken through the tunnel of `hail-study ui`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import pandas as pd
from hosts import end_in_order, network
from onprem import ROOT, Cluster, environment

_NOISE: Final = ("Shared connection", "Warning: Permanently", "sending incremental", "total size is", "bytes  received")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_PATH: Final = re.compile(r"[\w./-]{1,200}")
_LAUNCHER: Final = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+\t(\w+) \S+ -- (.*)")
_STEP: Final = re.compile(r"<?[\[(]?\d+/\d+[\])]?>?|New status|Error|Stopped|Fetched IP")
"""What the launcher says of its steps; the rest is how it takes them."""

_PATIENCE: Final = 900
"""Seconds for a page, on a busy machine."""


def main() -> None:
    """Make the journey."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("output", type=Path)
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        (folder / "shared").mkdir()
        with network(folder, **environment(folder / "shared")) as hosts:
            Journey(Cluster(hosts, workers=1), folder, arguments.output).make(arguments.study, arguments.overrides)


class Journey:
    """The commands of one journey, and their log."""

    def __init__(self, cluster: Cluster, folder: Path, output: Path) -> None:
        self._cluster, self._folder, self._output = cluster, folder, output
        self._log = (output / "journey.log").open("w")
        self._log.write(f"Made by: python tests/cluster/journey.py {' '.join(sys.argv[1:])}\n\n")

    def make(self, study: str, overrides: list[str]) -> None:
        """From `ray up` to `ray down`."""
        cluster, name = self._cluster, Path(study).stem
        self._say(f"ray up --yes --no-config-cache {cluster.file}")
        cluster.wait_for(2)
        self._say(f"ray exec {cluster.file} 'ray status'")
        self._say(f"hail-study submit {cluster.file} {study} {' '.join(overrides)}".rstrip())
        self._look(name)
        self._trials(name)
        self._say(f"ray down --yes {cluster.file}")
        for worker in cluster.workers:
            worker.run("ray stop --force", check=False)

    def _say(self, line: str) -> None:
        start = time.strftime("%H:%M:%S")
        print(f"{start} $ {line}", flush=True)
        printed = self._tidy(self._cluster.say(line, check=False))
        self._log.write(f"[{start}] $ {self._tidy(line)}\n{printed}\n")
        self._log.flush()

    def _tidy(self, text: str) -> str:
        """Without colours and the launcher's chatter, and with folders as their user would write them."""
        lines = [shown for line in text.splitlines() if (shown := _shown(_COLOUR.sub("", line))) is not None]
        text = "\n".join(lines) + "\n" if len(lines) > 1 else "".join(lines)
        for host in self._cluster.hosts:
            text = text.replace(str(host.home), "~")
        return text.replace(str(self._folder), "/mnt")

    def _look(self, name: str) -> None:
        """Screenshots through the tunnel."""
        tunnel = subprocess.Popen(self._cluster.laptop.command(f"hail-study ui {self._cluster.file}"))
        try:
            wait = "until curl -sf -o /dev/null http://127.0.0.1:5000/health; do sleep 1; done"
            self._cluster.laptop.run(f"timeout {_PATIENCE} bash -c '{wait}'", timeout=_PATIENCE)
            found = "http://127.0.0.1:5000/api/2.0/mlflow/experiments/get-by-name?experiment_name=" + name
            answer = self._cluster.laptop.run(f"curl -s '{found}'").stdout
            experiment = answer.partition('"experiment_id": "')[2].partition('"')[0]
            page = f"http://127.0.0.1:5000/#/experiments/{experiment}/runs"
            self._shoot(page, "mlflow-runs.png")
            self._shoot("http://127.0.0.1:8265/", "ray-dashboard.png")
        finally:
            tunnel.terminate()

    def _shoot(self, page: str, name: str) -> None:
        options = "--headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1500,1000"
        wait = f"--user-data-dir=$HOME/browser --virtual-time-budget=60000 --timeout={_PATIENCE * 1000}"
        target = (self._output / name).resolve()
        self._cluster.laptop.run(
            f"timeout {_PATIENCE} chromium {options} {wait} --screenshot={target} '{page}'",
            check=False,
            timeout=_PATIENCE,
        )

    def _trials(self, name: str) -> None:
        """Which trial ran where, from the tags of the record on the head."""
        database = self._cluster.head.home / "study" / "mlflow.db"
        query = (
            "import mlflow, sys; mlflow.set_tracking_uri(sys.argv[1]); "
            "mlflow.search_runs(experiment_names=[sys.argv[2]], filter_string=\"tags.`hail.kind` = 'trial'\")"
            ".to_csv(sys.argv[3])"
        )
        table = self._folder / "runs.csv"
        subprocess.run([sys.executable, "-c", query, f"sqlite:///{database}", name, table], check=True, cwd=ROOT)
        runs = pd.read_csv(table).sort_values("start_time")
        columns = ["arm", "phase", "number", "seed", "nodes", "repeated", "status"]
        tags = [f"tags.hail.{column}" for column in columns]
        shown = runs.reindex(columns=[*tags, "start_time", "end_time"]).set_axis([*columns, "start", "end"], axis=1)
        shown.to_csv(self._output / "trials.csv", index=False)
        self._log.write(shown.groupby(["nodes", "phase"]).size().to_string() + "\n\n")


def _shown(line: str) -> str | None:
    """A line of output as the log has it; None: not at all."""
    if found := _LAUNCHER.match(line):
        return found[2] if _STEP.match(found[2]) else None
    copied = _PATH.fullmatch(line) and (ROOT / line).exists()
    return None if copied or any(word in line for word in _NOISE) else line


if __name__ == "__main__":
    main()
