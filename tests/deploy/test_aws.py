"""`cluster.yaml` without an account: against Ray's schema, and bootstrapped against a mocked EC2, IAM and S3."""

import contextlib
import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "cluster.yaml").read_text())


def checked(config):
    """As `ray up` reads a cluster file."""
    util = pytest.importorskip("ray.autoscaler._private.util")
    prepared = util.prepare_config(config)
    util.validate_config(prepared)
    return prepared


def test_the_cluster_file_passes_rays_own_check(config):
    checked(config)


def test_the_check_would_notice_a_mistake(config):
    config["max_wokers"] = 1
    with pytest.raises(Exception, match="max_wokers"):
        checked(config)


@pytest.fixture
def account(monkeypatch, tmp_path):
    """A mocked account, prepared as `deploy/aws/prepare.sh` prepares one."""
    moto = pytest.importorskip("moto")
    boto3 = pytest.importorskip("boto3")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    with moto.mock_aws():
        boto3.client("s3").create_bucket(Bucket="my-bucket")
        iam = boto3.client("iam")
        for role in ("head", "worker"):
            name = f"hail-study-{role}"
            policy = (ROOT / "deploy" / "aws" / f"{role}.json").read_text().replace("BUCKET", "my-bucket")
            iam.create_role(RoleName=name, AssumeRolePolicyDocument='{"Version": "2012-10-17", "Statement": []}')
            iam.put_role_policy(RoleName=name, PolicyName="study", PolicyDocument=policy)
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        yield boto3


def bootstrapped(config):
    from ray.autoscaler._private.aws.config import bootstrap_aws

    return bootstrap_aws(checked(copy.deepcopy(config)))


def test_it_is_bootstrapped_against_a_mocked_account(config, account, capsys):
    made = bootstrapped(config)
    types = {name: kind["node_config"] for name, kind in made["available_node_types"].items()}
    groups = account.client("ec2").describe_security_groups(GroupNames=["hail-study"])["SecurityGroups"]
    assert all(node["SubnetIds"] and node["SecurityGroupIds"] == [groups[0]["GroupId"]] for node in types.values())
    assert types["head"]["IamInstanceProfile"] == {"Name": "hail-study-head"}
    assert types["gpu-spot"]["IamInstanceProfile"] == {"Name": "hail-study-worker"}
    assert Path(made["auth"]["ssh_private_key"]).exists()


def test_from_outside_only_ssh_is_open(config, account):
    bootstrapped(config)
    group = account.client("ec2").describe_security_groups(GroupNames=["hail-study"])["SecurityGroups"][0]
    outside = [rule for rule in group["IpPermissions"] if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in outside] == [(22, 22)]
    inside = [rule for rule in group["IpPermissions"] if not rule["IpRanges"]]
    assert all(pair["GroupId"] == group["GroupId"] for rule in inside for pair in rule["UserIdGroupPairs"])


def test_workers_are_spot_first_and_on_demand_where_there_is_none(config):
    types = checked(config)["available_node_types"]
    assert types["gpu-spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in types["gpu-standby"]["node_config"]
    assert list(types).index("gpu-spot") < list(types).index("gpu-standby")
    assert types["head"]["resources"]["CPU"] == 0


def test_every_kind_of_node_can_be_started(config, account):
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    made = bootstrapped(config)
    ec2 = account.client("ec2")
    for name, kind in made["available_node_types"].items():
        provider = AWSNodeProvider(made["provider"], name)
        tags = {"ray-cluster-name": name, "ray-node-type": "worker", "ray-launch-config": name}
        provider.create_node(kind["node_config"], tags, 1)
    started = [one for found in ec2.describe_instances()["Reservations"] for one in found["Instances"]]
    assert [one["InstanceType"] for one in started] == ["m6i.xlarge", "g6.xlarge", "g6.xlarge"]
    assert [one.get("InstanceLifecycle") for one in started] == [None, "spot", None]


def test_a_worker_may_touch_checkpoints_and_nothing_else():
    policy = json.loads((ROOT / "deploy" / "aws" / "worker.json").read_text())
    actions = [statement["Action"] for statement in policy["Statement"]]
    allowed = {action for given in actions for action in (given if isinstance(given, list) else [given])}
    assert allowed == {"s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"}
    assert not any(statement["Resource"] == "*" for statement in policy["Statement"])


def test_every_shell_line_is_valid_bash(config):
    """In the brackets that Ray puts around it, which a here-document must not swallow."""
    onprem = yaml.safe_load((ROOT / "deploy" / "onprem.yaml").read_text())
    for file in (config, onprem):
        for name, lines in file.items():
            if name.endswith("commands"):
                for line in lines:
                    read = subprocess.run(["bash", "-n", "-c", f"true && ({line})"], capture_output=True, text=True)
                    assert (read.returncode, read.stderr) == (0, ""), line
    subprocess.run(["bash", "-n", ROOT / "deploy" / "aws" / "prepare.sh"], check=True)


@pytest.fixture
def head(tmp_path):
    """A home of a head: runs a command in it as `ray up` does, with stand-ins for programs, and counts their starts."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (tmp_path / ".bashrc").write_text(f"export PATH={programs}:$PATH\n")

    def stand_in(name, *lines):
        script = ["#!/bin/sh", f'echo "$$ $@" >> {tmp_path}/{name}.started', *lines]
        (programs / name).write_text("\n".join(script) + "\n")
        (programs / name).chmod(0o755)

    def run(command):
        words = f"source ~/.bashrc; export OMP_NUM_THREADS=1 && ({command})"
        settings = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = os.environ | {"HOME": str(tmp_path)}
        call = ["bash", "--login", "-c", "-i", words]
        return subprocess.run(call, env=environment, start_new_session=True, timeout=60, check=False, **settings)

    def starts(name):
        found = tmp_path / f"{name}.started"
        return [line.partition(" ")[2] for line in found.read_text().splitlines()] if found.exists() else []

    yield SimpleNamespace(stand_in=stand_in, run=run, starts=starts, home=tmp_path)
    for found in tmp_path.glob("*.started"):
        for line in found.read_text().splitlines():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(line.split()[0]), signal.SIGKILL)


def the_command(config, words):
    (line,) = [line for line in config["head_start_ray_commands"] if words in line]
    return line


def eventually(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.05)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def answers(port):
    with socket.socket() as asking:
        return asking.connect_ex(("127.0.0.1", port)) == 0


def test_mlflow_is_started_where_none_answers_and_once(config, head):
    port = free_port()
    serve = f'exec {sys.executable} -m http.server --bind 127.0.0.1 {port} > "$HOME/served" 2>&1'
    head.stand_in("mlflow", serve)
    command = the_command(config, "mlflow server").replace("5000", str(port))
    head.run(command)
    eventually(lambda: answers(port))
    head.run(command)
    time.sleep(0.5)
    (start,) = head.starts("mlflow")
    assert start.startswith(f"server --host 127.0.0.1 --port {port} --serve-artifacts --backend-store-uri postgresql:")


def test_the_idle_loop_is_started_once(config, head):
    head.stand_in("sleep", "exec /bin/sleep 600")
    command = the_command(config, "shutdown")
    for _ in range(2):
        assert head.run(command).returncode == 0
        eventually(lambda: head.starts("sleep"))
    time.sleep(0.5)
    assert head.starts("sleep") == ["60"]


@pytest.mark.parametrize(("studies", "ends"), [(0, True), (1, False)], ids=["no study", "a study"])
def test_a_head_on_which_nothing_runs_for_two_hours_stops(config, head, studies, ends):
    """Each minute of the loop is three hours here, and there are three of them."""
    head.stand_in("sleep", 'touch -d "3 hours ago" ~/.busy', f"test $(wc -l < {head.home}/sleep.started) -le 3")
    head.stand_in("pgrep", f"test {studies} = 1")
    head.stand_in("sudo", "exit 0")
    head.run(the_command(config, "shutdown"))
    eventually(lambda: len(head.starts("sleep")) == 4)
    assert head.starts("sudo") == ["shutdown -h now"] * 3 * ends
