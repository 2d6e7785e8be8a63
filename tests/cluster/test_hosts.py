"""From `ray up` to `ray down` on hosts of their own, the record on a server that no worker reaches.

One cluster for the file, whose tests follow the course of things: no worker yet; one joins, later another; a worker is
lost; one has no storage; the end.
"""

import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hosts
import pytest
import servers
from onprem import Cluster, environment

pytestmark = pytest.mark.timeout(1500)

STUDY = """\
name: {name}
data: {{source: planted, users: 400, items: 100, length: 12, max_length: 12, k_core: 0}}
base:
  encoder: {{dim: 32, blocks: 1, heads: 2}}
  training: {{epochs: 8, patience: 0, batch: 64, learning_rate: 0.01}}
vary: {{peers.count: [1, 2]}}
seeds: 3
compute: {{checkpoint_seconds: 0}}
"""
TRIALS = 6
TRAINING = "^ray::ResourceTrainable"
"""What Ray calls a process that trains."""
_PATIENCE = 600
"""Seconds for a study, on a busy machine."""


class Ground:
    """A cluster, a server that its driver alone reaches, and what ran there."""

    def __init__(self, folder: Path, network: hosts.Network) -> None:
        self.store, self.checkout, private = folder / "store", folder / "checkout", folder / "mlflow"
        for made in (self.store, self.checkout, private):
            made.mkdir()
        self.commit = _first_commit(self.checkout)
        self.cluster = Cluster(network, workers=2, checkout=self.checkout, head_cpus=0, wanted=0)
        self.server = servers.MlflowServer(network.add("mlflow"), private)
        secret = self.cluster.head.home / ".hail_credentials"
        secret.touch(mode=0o600)
        secret.write_text("".join(f"export {name}={value}\n" for name, value in self.server.credentials.items()))
        for worker in self.cluster.workers:
            worker.refuse(self.server.address)

    def submit(self, name: str, *overrides: str) -> subprocess.Popen[str]:
        """Give `hail-study submit` on the laptop."""
        (self.checkout / f"{name}.yaml").write_text(STUDY.format(name=name))
        line = shlex.join(["hail-study", "submit", str(self.cluster.file), f"{name}.yaml", *overrides])
        command = self.cluster.laptop.command(f"cd {self.checkout} && {line}")
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def log(self, name: str) -> str:
        """What a study's driver has printed on the head so far."""
        path = self.cluster.head.home / "study" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def table(self, name: str) -> str:
        """A study's final table, without its name."""
        path = self.cluster.head.home / "study" / "reports" / name / "table.json"
        return path.read_text().replace(name, "NAME")

    def runs(self, name: str) -> list:
        """A study's runs in the record: of the study, its arms and its trials."""
        from mlflow import MlflowClient

        with pytest.MonkeyPatch.context() as patch:
            for variable, value in self.server.credentials.items():
                patch.setenv(variable, value)
            client = MlflowClient(self.server.uri)
            experiment = client.get_experiment_by_name(name)
            return list(client.search_runs([experiment.experiment_id], max_results=1000))

    def trials(self, name: str) -> list:
        """Those of them that trained something."""
        return [run for run in self.runs(name) if run.data.tags.get("hail.phase") == "confirm"]


def _first_commit(folder: Path) -> str:
    """Make a folder a git checkout with one commit."""
    git = ["git", "-C", str(folder)]
    person = ["-c", "user.name=Name", "-c", "user.email=name@example.org"]
    for words in (["init", "-q"], [*person, "commit", "-q", "--allow-empty", "-m", "First"]):
        subprocess.run([*git, *words], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def wait_until(condition: Callable[[], object], seconds: float = _PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def ground():
    for reason in (hosts.reason_not_here(), servers.reason_not_here()):
        if reason:
            pytest.skip(reason)
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as name,
        hosts.network(Path(name), **environment(Path(name) / "store")) as network,
    ):
        made = Ground(Path(name), network)
        made.cluster.workers[1].kill()
        made.cluster.up()
        yield made


@pytest.fixture(scope="module")
def studied(ground):
    """A study that began without a worker, and what its user saw; one host joins, and in its middle another."""
    watched = ground.submit("joined")
    wait_until(lambda: "waiting up to" in ground.log("joined") or watched.poll() is not None)
    ground.cluster.want(2)
    ground.cluster.up("--no-restart")
    wait_until(lambda: list(ground.store.rglob("epoch-*")) or watched.poll() is not None)
    first, second = ground.cluster.workers
    first.run(f"pkill -STOP -f {TRAINING}", check=False)  # or the study might be over before the other host is there
    second.start()
    ended = ground.log("joined").count(" finished ")
    wait_until(
        lambda: _trains(second) or ground.log("joined").count(" finished ") > ended or watched.poll() is not None
    )
    first.run(f"pkill -CONT -f {TRAINING}", check=False)
    printed, _ = watched.communicate(timeout=_PATIENCE)
    assert watched.returncode == 0, printed
    return printed


def _trains(worker: hosts.Host) -> bool:
    """Whether a worker's process has loaded what it needs and trains now."""
    return worker.run(rf"pgrep -f '{TRAINING}\.train'", check=False).returncode == 0


def test_a_study_waits_for_a_worker_no_longer_than_it_was_told(ground):
    watched = ground.submit("alone", "compute.wait_seconds=2", "compute.cpus=64")
    printed, _ = watched.communicate(timeout=_PATIENCE)
    assert watched.returncode == 1
    assert "a trial needs 64 CPUs and 0 GPUs, the cluster has 0 CPUs" in printed
    assert "waiting up to 2 s for a node that has it" in printed
    assert "no node that has it joined in 2 s (compute.wait_seconds)" in printed
    assert "Traceback" not in printed


def test_a_study_that_began_without_a_worker_starts_when_one_joins(studied):
    said = ["waiting up to 600 s for a node", "a node has joined; the study starts", f"[{TRIALS}/{TRIALS}]"]
    assert [line for line in said if line not in studied] == []


def test_a_host_that_joins_in_the_middle_is_used(studied, ground):
    assert {run.data.tags["hail.nodes"] for run in ground.trials("joined")} == {"worker-1", "worker-2"}
    assert "Total Usage" in ground.cluster.head.run("ray status").stdout


def test_the_record_is_whole_though_no_worker_reaches_its_server(studied, ground):
    reach = f"timeout 5 bash -c '</dev/tcp/{ground.server.address}/{servers.PORT}'"
    assert ground.cluster.head.run(reach, check=False).returncode == 0
    assert all(worker.run(reach, check=False).returncode for worker in ground.cluster.workers)
    runs = ground.runs("joined")
    assert {run.info.status for run in runs} == {"FINISHED"}
    trials = ground.trials("joined")
    assert len(trials) == len({run.data.tags["hail.key"] for run in trials}) == TRIALS
    assert all("test/ndcg_at_10" in run.data.metrics for run in trials)
    assert all(run.info.artifact_uri.startswith("mlflow-artifacts:/") for run in runs)
    assert {run.data.tags["hail.git.commit"] for run in trials} == {ground.commit}
    kept = [path.name for path in ground.server.artifacts.rglob("*")]
    assert kept.count("ranks.parquet") >= TRIALS
    assert "report.html" in kept


def test_credentials_are_written_nowhere(studied, ground):
    secrets = [ground.server.password, (ground.cluster.laptop.home / ".ray" / "auth_token").read_text().strip()]
    noted = [str(run.data.to_dictionary()) for run in ground.runs("joined")]
    private = {".hail_credentials", "auth_token"}
    places = [ground.store, ground.checkout, ground.server.artifacts]
    places += [folder for host in ground.cluster.hosts for folder in (host.home, host.home.parent / "ray")]
    files = [path for place in places for path in place.rglob("*") if path.is_file() and path.name not in private]
    assert len(files) > 50
    for secret in secrets:
        assert not any(secret in text for text in [studied, *noted])
        assert [str(path) for path in files if secret.encode() in path.read_bytes()] == []


def test_a_request_without_the_token_is_refused(ground):
    laptop, head = ground.cluster.laptop, ground.cluster.head
    tunnel = subprocess.Popen(laptop.command(f"cd {ground.checkout} && hail-study ui {ground.cluster.file}"))
    try:
        ask = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8265/api/jobs/"
        token = '-H "Authorization: Bearer $(cat ~/.ray/auth_token)"'
        wait_until(lambda: laptop.run(ask, check=False).stdout != "000")
        assert laptop.run(ask).stdout == "401"
        assert laptop.run(f"{ask} {token}").stdout == "200"
        assert laptop.run(f"{ask} -H 'Authorization: Bearer {'0' * 64}'").stdout in ("401", "403")
    finally:
        tunnel.terminate()
        tunnel.wait()
    agent = f"curl -s -o /dev/null -w '%{{http_code}}' http://{head.address}:52365/api"
    assert laptop.run(f"{agent}/job_agent/jobs/x/logs").stdout == "401"
    assert laptop.run(f"{agent}/healthz").stdout == "200"  # as SECURITY.md says
    status = f"ray status --address {head.address}:6379"
    assert laptop.run(status).returncode == 0
    without = laptop.run(f"RAY_AUTH_MODE=disabled {status}", check=False)
    assert without.returncode
    assert "Total Usage" not in without.stdout


def test_pages_jobs_and_clients_are_served_on_the_clusters_network_only(ground):
    """Ray's dashboard and jobs (8265), its agents (52365) and its client (10001); MLflow is elsewhere."""
    head = ground.cluster.head
    listening = [line.split()[3] for line in head.run("ss -Htln").stdout.splitlines()]
    served = {address.replace("[::ffff:", "").replace("]", "") for address in listening}
    allowed = {"127.0.0.1:8265", "127.0.0.1:52365", f"{head.address}:52365"}
    allowed |= {"127.0.0.1:10001", f"{head.address}:10001"}
    found = {address for address in served if address.endswith((":8265", ":52365", ":10001", ":5000"))}
    assert "127.0.0.1:8265" in found
    assert found <= allowed


def test_a_study_on_one_machine_listens_on_loopback_only(ground):
    laptop = ground.cluster.laptop
    (laptop.home / "alone").mkdir()
    (laptop.home / "alone" / "alone.yaml").write_text(STUDY.format(name="alone"))
    watch = "while kill -0 $study 2> /dev/null; do ss -Htln; sleep 0.3; done | sort -u"
    run = "hail-study run alone.yaml --address local seeds=1 training.epochs=1 > log 2>&1"
    seen = laptop.run(f"cd ~/alone && {{ {run} & }}; study=$!; {watch}; wait $study; cat log >&2", timeout=_PATIENCE)
    addresses = {line.split()[3].rpartition(":")[0] for line in seen.stdout.splitlines()}
    assert "127.0.0.1" in addresses, seen.stderr
    assert addresses <= {"127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", laptop.address}  # there ssh answers
    assert {line.split()[3] for line in seen.stdout.splitlines() if laptop.address in line} == {f"{laptop.address}:22"}


def test_a_node_without_the_storage_is_refused_by_name(studied, ground):
    other = ground.store.parent / "other"
    other.mkdir()
    worker = ground.cluster.workers[1]
    worker.run(f"mount -t tmpfs tmpfs {other}")
    try:
        watched = ground.submit("refused", f"compute.storage={other}")
        printed, _ = watched.communicate(timeout=_PATIENCE)
    finally:
        worker.run(f"umount {other}")
    assert watched.returncode == 1
    assert f"node worker-2 ({worker.address}) cannot use compute.storage {other}" in " ".join(printed.split())
    assert "Traceback" not in printed


def test_a_worker_that_is_lost_costs_nothing_but_time(studied, ground):
    watched = ground.submit("lost", "compute.retries=0")
    wait_until(lambda: len(list(ground.store.rglob("epoch-*"))) > 1 or watched.poll() is not None)
    ground.cluster.workers[0].kill()
    printed, _ = watched.communicate(timeout=_PATIENCE)
    ground.cluster.workers[0].start()
    assert watched.returncode == 0, printed
    assert ground.table("lost") == ground.table("joined")
    assert {run.info.status for run in ground.runs("lost")} == {"FINISHED"}
    trials = ground.trials("lost")
    assert len(trials) == len({run.data.tags["hail.key"] for run in trials}) == TRIALS
    assert max(int(run.data.tags.get("hail.repeated", 0)) for run in trials) <= 1


def test_ray_down_leaves_no_ray_behind(ground):
    ground.cluster.down()
    for host in (ground.cluster.head, *ground.cluster.workers):
        assert host.run("pgrep -c -f '[r]aylet|[g]cs_server'", check=False).stdout.strip() == "0"
