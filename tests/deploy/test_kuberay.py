"""`deploy/kuberay.yaml` without a cluster: its resource against KubeRay's fields, its pods against Kubernetes' schema.

KubeRay's definition is published with its operator only, in no package registry; the fields below are those that the
API reference of KubeRay 1.6 (ray.io/v1) gives the kinds that the file uses, pods excepted. Pods are checked, and
strictly, by Kubernetes' own published schema.
"""

import re
from pathlib import Path

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "deploy" / "kuberay.yaml"
KUBERNETES = "1.31"

TEXT, FLAG, COUNT = {"type": "string"}, {"type": "boolean"}, {"type": "integer", "minimum": 0}
POD = {"type": "object", "required": ["spec"]}
START = {"type": "object", "additionalProperties": TEXT}


def mapping(required=(), **fields):
    return {"type": "object", "additionalProperties": False, "required": list(required), "properties": fields}


AUTOSCALER = mapping(
    version={"enum": ["v1", "v2"]},
    resources={"type": "object"},
    image=TEXT,
    imagePullPolicy={"enum": ["Always", "Never", "IfNotPresent"]},
    env={"type": "array"},
    envFrom={"type": "array"},
    volumeMounts={"type": "array"},
    securityContext={"type": "object"},
    idleTimeoutSeconds=COUNT,
    upscalingMode={"enum": ["Default", "Aggressive", "Conservative"]},
)
HEAD = mapping(
    ["template"],
    serviceType={"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
    headService={"type": "object"},
    enableIngress=FLAG,
    resources=START,
    labels=START,
    rayStartParams=START,
    template=POD,
)
WORKERS = mapping(
    ["groupName", "template", "minReplicas", "maxReplicas"],
    groupName=TEXT,
    suspend=FLAG,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    numOfHosts=COUNT,
    idleTimeoutSeconds=COUNT,
    resources=START,
    labels=START,
    rayStartParams=START,
    template=POD,
    scaleStrategy={"type": "object"},
)
CLUSTER = mapping(
    ["headGroupSpec"],
    rayVersion=TEXT,
    suspend=FLAG,
    managedBy=TEXT,
    authOptions=mapping(mode={"enum": ["disabled", "token"]}, secretName=TEXT, enableK8sTokenAuth=FLAG),
    enableInTreeAutoscaling=FLAG,
    autoscalerOptions=AUTOSCALER,
    headServiceAnnotations=START,
    gcsFaultToleranceOptions={"type": "object"},
    upgradeStrategy={"type": "object"},
    headGroupSpec=HEAD,
    workerGroupSpecs={"type": "array", "items": WORKERS},
)
JOB = mapping(
    ["apiVersion", "kind", "metadata", "spec"],
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=mapping(["name"], name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,45}[a-z0-9])?$"}),
    spec=mapping(
        ["rayClusterSpec"],
        activeDeadlineSeconds=COUNT,
        backoffLimit=COUNT,
        clusterSelector=START,
        deletionStrategy={"type": "object"},
        entrypoint=TEXT,
        entrypointNumCpus={"type": "number"},
        entrypointNumGpus={"type": "number"},
        entrypointResources=TEXT,
        jobId=TEXT,
        managedBy=TEXT,
        metadata=START,
        preRunningDeadlineSeconds=COUNT,
        rayClusterSpec=CLUSTER,
        runtimeEnvYAML=TEXT,
        shutdownAfterJobFinishes=FLAG,
        submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
        submitterConfig=mapping(backoffLimit=COUNT),
        submitterPodTemplate=POD,
        suspend=FLAG,
        ttlSecondsAfterFinished=COUNT,
    ),
)


@pytest.fixture
def job():
    return yaml.safe_load(FILE.read_text())


def templates(job):
    cluster = job["spec"]["rayClusterSpec"]
    yield cluster["headGroupSpec"]["template"]
    yield from (group["template"] for group in cluster["workerGroupSpecs"])
    yield job["spec"]["submitterPodTemplate"]


def test_its_fields_are_kuberays(job):
    jsonschema.Draft202012Validator(JOB).validate(job)


def test_a_mistaken_field_would_be_noticed(job):
    job["spec"]["rayClusterSpec"]["autoscalerOptions"]["idleTimeout"] = 300
    with pytest.raises(jsonschema.ValidationError, match="idleTimeout"):
        jsonschema.Draft202012Validator(JOB).validate(job)


def test_its_pods_are_kubernetes(job):
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    for template in templates(job):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    pod["spec"]["containers"][0]["imagee"] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_nothing_is_reached_from_outside_and_every_request_shows_the_token(job):
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["headGroupSpec"]["serviceType"] == "ClusterIP"
    assert not cluster["headGroupSpec"].get("enableIngress")


def test_only_the_driver_has_the_records_credentials(job):
    head, *others = [container for pod in templates(job) for container in pod["spec"]["containers"]]
    assert {"secretRef": {"name": "hail-mlflow"}} in head["envFrom"]
    assert not any("envFrom" in container for container in others)
    assert all(not container["securityContext"]["allowPrivilegeEscalation"] for container in [head, *others])


def test_its_image_stands_on_the_versions_of_the_aws_cluster_and_on_no_root():
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    pins = set(re.findall(r'"(\S+==\S+)"', recipe))
    assert len(pins) == 4
    assert pins == set(re.findall(r'"(\S+==\S+)"', (ROOT / "cluster.yaml").read_text()))
    assert f'rayVersion: "{next(pin for pin in pins if pin.startswith("ray[")).partition("==")[2]}"' in FILE.read_text()
    assert int(re.findall(r"^USER (\d+)$", recipe, re.M)[-1]) > 0
    assert all((ROOT / name).exists() for name in re.findall(r"^COPY (.*) \S+$", recipe, re.M)[0].split())
