"""`cluster.yaml` without an account: against Ray's schema, and bootstrapped against a mocked EC2, IAM and S3."""

import copy
import json
import subprocess
from pathlib import Path

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
