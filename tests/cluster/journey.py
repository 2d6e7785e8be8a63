"""A study from `ray up` to `ray down` on two hosts, as its user sees it: every command, what it printed, who ran what.

    python tests/cluster/journey.py studies/ablation.yaml analysis/results/cluster seeds=3

Writes `journey.log` (commands and output), `trials.csv` (which trial ran where) and screenshots of MLflow and the Ray
dashboard, taken through the tunnel of `hail-study ui`. Needs root, and Chromium with its driver. Beside many other
processes Ray's nodes do not start: their agents have 30 seconds for it.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pandas as pd
from hosts import Host, end_in_order, network, wait_for_port
from onprem import ROOT, Cluster, environment

_NOISE: Final = ("Shared connection", "Warning: Permanently", "sending incremental", "total size is", "bytes  received")
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_PATH: Final = re.compile(r"[\w./-]{1,200}")
_LAUNCHER: Final = re.compile(r"\d{4}-\d\d-\d\d [\d:,]+\t(\w+) \S+ -- (.*)")
_STEP: Final = re.compile(r"<?[\[(]?\d+/\d+[\])]?>?|New status|Error|Stopped|Fetched IP")
"""What the launcher says of its steps; the rest is how it takes them."""

_PATIENCE: Final = 900
"""Seconds for a page, on a busy machine."""
_SETTLING: Final = 5
"""Seconds between a page's first words and its picture."""
_ASIDE: Final = {"mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true", "mlflow.assistant.panelOpen_v1": "false"}
"""What MLflow's pages keep of a reader who has closed the assistant beside them."""
_DRIVER: Final = 9515
_FLAGS: Final = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1500,1150")


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
        given = " ".join([study, *overrides])
        self._say(f"hail-study submit {cluster.file} {given}")
        self._say(f"ray exec {cluster.file} 'cd study && python -m hail_study.run {given} --address auto'")
        self._look(name, given)
        self._trials(name)
        self._say(f"ray down --yes {cluster.file}")
        for worker in cluster.workers:
            worker.run("ray stop --force", check=False)

    def _say(self, line: str) -> None:
        self._note(line)
        self._log.write(self._tidy(self._cluster.say(line, check=False)) + "\n")
        self._log.flush()

    def _note(self, line: str) -> None:
        noted = f"[{time.strftime('%H:%M:%S')}] $ {self._tidy(line)}"
        print(noted, flush=True)
        self._log.write(noted + "\n")

    def _tidy(self, text: str) -> str:
        """Without colours and the launcher's chatter, and with folders as their user would write them."""
        lines = [shown for line in text.splitlines() if (shown := _shown(_COLOUR.sub("", line))) is not None]
        text = "\n".join(lines) + "\n" if len(lines) > 1 else "".join(lines)
        for host in self._cluster.hosts:
            text = text.replace(str(host.home), "~")
        for folder, shown in {str(self._folder): "/mnt", sys.prefix: "~/venv", str(ROOT): "~/checkout"}.items():
            text = text.replace(folder, shown)
        return text

    def _look(self, name: str, given: str) -> None:
        """What is there through the tunnel: pages, in a browser on the laptop, and the way for jobs."""
        laptop, said = self._cluster.laptop, self._folder / "ui.log"
        self._note(f"hail-study ui {self._cluster.file}")
        tunnel = subprocess.Popen(
            laptop.command(f"PYTHONUNBUFFERED=1 hail-study ui {self._cluster.file} > {said} 2>&1")
        )
        try:
            for port in (5000, 8265):
                wait = f"until curl -s -o /dev/null http://127.0.0.1:{port}/; do sleep 1; done"
                laptop.run(f"timeout {_PATIENCE} bash -c '{wait}'", timeout=_PATIENCE)
            with browser(laptop) as chromium:
                self._shoot(chromium, name)
            self._log.write(self._tidy(said.read_text()) + "\n")
            job = f"bash -c 'cd ~/study && python -m hail_study.run {given}'"
            self._say(f"ray job submit --address http://127.0.0.1:8265 -- {job}")
        finally:
            tunnel.terminate()

    def _shoot(self, chromium: Any, name: str) -> None:
        """The trials behind the table, one of them, and the nodes."""
        confirmed = quote('tags.`hail.phase` = "confirm"')
        runs = f"http://127.0.0.1:5000/#/experiments/{self._experiment(name)}/runs"
        best = f"{runs}?searchFilter={confirmed}&orderByKey=metrics.%60test%2Fndcg_at_10%60&orderByAsc=false"
        chromium.get("http://127.0.0.1:5000/health")
        for setting, value in _ASIDE.items():
            chromium.execute_script("localStorage.setItem(...arguments)", setting, value)
        self._page(chromium, best, "seed=", "mlflow-trials.png")
        trial = chromium.find_element("css selector", "a[href*='/runs/']").get_attribute("href")
        self._page(chromium, trial, "hail.nodes", "mlflow-trial.png")
        page = "http://127.0.0.1:8265/"
        chromium.get(page)
        token = (self._cluster.laptop.home / ".ray" / "auth_token").read_text().strip()
        chromium.add_cookie({"name": "ray-authentication-token", "value": token})
        self._page(chromium, f"{page}#/cluster", self._cluster.workers[0].name, "ray-nodes.png")

    def _experiment(self, name: str) -> str:
        asked = f"http://127.0.0.1:5000/api/2.0/mlflow/experiments/get-by-name?experiment_name={name}"
        answer = json.loads(self._cluster.laptop.run(f"curl -s '{asked}'").stdout)
        return str(answer["experiment"]["experiment_id"])

    def _page(self, chromium: Any, address: str, awaited: str, name: str) -> None:
        """A picture of a page, as soon as it shows what it is for."""
        from selenium.webdriver.support.ui import WebDriverWait

        chromium.get("about:blank")  # pages that differ behind the # only would not be loaded
        chromium.get(address)
        shown = "return document.body.innerText"
        WebDriverWait(chromium, _PATIENCE).until(lambda _: awaited in chromium.execute_script(shown))
        time.sleep(_SETTLING)
        chromium.save_screenshot(str(self._output / name))

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


@contextmanager
def browser(host: Host) -> Iterator[Any]:
    """Chromium on a host, steered from here."""
    from selenium import webdriver

    folder = host.home / "browser"
    start = f"chromedriver --port={_DRIVER} --allowed-ips= --allowed-origins='*' > {host.home}/chromedriver.log 2>&1"
    driver = subprocess.Popen(host.command(start))
    try:
        wait_for_port(host.address, _DRIVER)
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium") or ""
        for flag in (*_FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        chromium = webdriver.Remote(f"http://{host.address}:{_DRIVER}", options=options)
        yield chromium
        chromium.quit()
    finally:
        driver.terminate()


def _shown(line: str) -> str | None:
    """A line of output as the log has it; None: not at all."""
    if found := _LAUNCHER.match(line):
        return found[2] if _STEP.match(found[2]) else None
    copied = _PATH.fullmatch(line) and (ROOT / line).exists()
    return None if copied or any(word in line for word in _NOISE) else line


if __name__ == "__main__":
    main()
