"""docs/sizing.md: the sums of the pods' requests, and the thresholds of the autoscalers, follow from the manifests."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import NamedTuple

import pytest

from tests.unit.deploy.api_server import amount
from tests.unit.deploy.manifests import DEPLOY, OVERLAYS, ROOT, Document, Pod, applied, kustomized, of_kind, pods, read

# The overlays in the table. Overlays that only scale or encrypt have the same requests as their base.
SHOWN = ("deploy", "cpu-only", "one-node", "one-node-cpu", "two-cores", "several-gpus", "external-prometheus")
_MONITORING = ("prometheus", "grafana")
PAGE = ROOT / "docs" / "sizing.md"
RATE_HZ = 25
SHARE = 0.9  # of the cores; the page's u
COUNTED = ("pose", "normalize", "orchestrator")  # scaled by the number of their streams or sessions


class Asked(NamedTuple):
    """The requests of pods."""

    cpu: Decimal
    memory_gib: Decimal

    def __str__(self) -> str:
        return f"{_short(self.cpu)} CPU, {_short(self.memory_gib)} GiB"


def _short(number: Decimal) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def asked_by(pod: Pod) -> Asked:
    """Return the requests of a pod: the sum of its containers, or an init container if it alone requests more."""

    def asked(container: Document, resource: str) -> Decimal:
        return amount(container["resources"]["requests"].get(resource, "0"))

    start = [c for c in pod.spec.get("initContainers", []) if c.get("restartPolicy") != "Always"]
    cpu, memory = (
        max(
            sum((asked(c, resource) for c in pod.spec["containers"]), Decimal(0)),
            max((asked(c, resource) for c in start), default=Decimal(0)),
        )
        for resource in ("cpu", "memory")
    )
    return Asked(cpu, memory / 2**30)


def surge(workload: Document) -> int:
    """Return the number of additional pods during an update."""
    strategy = workload["spec"].get("strategy", {})
    if workload["kind"] != "Deployment" or strategy.get("type") == "Recreate":
        return 0
    most = strategy.get("rollingUpdate", {}).get("maxSurge", "25%")
    if isinstance(most, int):
        return most
    return math.ceil(workload["spec"].get("replicas", 1) * int(most.rstrip("%")) / 100)


def total(documents: list[Document], *, updating: bool = False, monitoring: bool = True) -> Asked:
    """Return the requests of all pods. updating: during an update of all Deployments at once."""
    cpu = memory_gib = Decimal(0)
    for pod in pods(of_kind(documents, "Deployment", "StatefulSet")):
        if not monitoring and pod.name in _MONITORING:
            continue
        one = asked_by(pod)
        number = pod.workload["spec"].get("replicas", 1) + (surge(pod.workload) if updating else 0)
        cpu, memory_gib = cpu + number * one.cpu, memory_gib + number * one.memory_gib
    return Asked(cpu, memory_gib)


def documents_of(name: str) -> list[Document]:
    """Return the applied documents without Jobs."""
    return applied() if name == "deploy" else kustomized(OVERLAYS / name)


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_lists_the_requests(name: str):
    """The page has a row for each overlay: in normal operation, and during an update of everything."""
    documents = documents_of(name)
    command = "-f deploy/" if name == "deploy" else f"overlays/{name}"
    row = f"| `{command}` | {total(documents)} | {total(documents, updating=True)} |"
    assert row in PAGE.read_text()


def test_the_prerequisite_covers_the_requests():
    """docs/deploy.md has the requests rounded up, without Prometheus and Grafana."""
    found = re.search(
        r"^\| (\d+) cores and (\d+) GiB that pods can request", (ROOT / "docs/deploy.md").read_text(), re.M
    )
    assert found is not None
    asked = total(applied(), monitoring=False)
    assert [int(number) for number in found.groups()] == [math.ceil(asked.cpu), math.ceil(asked.memory_gib)]


def test_two_cores_are_enough_for_two_cores():
    """The overlay leaves half of the cores to the system's pods, and an update requests no more."""
    documents = documents_of("two-cores")
    assert total(documents).cpu <= 1
    assert total(documents, updating=True) == total(documents)
    for pod in pods(of_kind(documents, "Deployment")):
        assert surge(pod.workload) == 0, pod.where


def cost_ms(stage: str) -> float:
    """Return the page's CPU milliseconds of a frame."""
    found = re.search(rf"^\| {stage} \| ([\d.]+) ms", PAGE.read_text(), re.M)
    assert found is not None, stage
    return float(found.group(1))


def scaler(name: str) -> Document:
    """Return the autoscaler of a Deployment; KEDA's rules are compared with these elsewhere."""
    (found,) = [one for one in read(DEPLOY / "optional" / "hpa" / "hpa.yaml") if one["metadata"]["name"] == name]
    return found


def threshold(name: str) -> int:
    """Return the streams of a pod at which another pod is added."""
    (metric,) = scaler(name)["spec"]["metrics"]
    assert metric["external"]["target"]["type"] == "AverageValue"
    return int(metric["external"]["target"]["averageValue"])


@pytest.mark.parametrize("stage", COUNTED)
def test_a_threshold_is_what_the_cores_of_a_pod_hold(stage: str):
    """Streams at 25 frames a second take at most the page's share of the pod's cores; a table row says the result."""
    (pod,) = [pod for pod in pods(of_kind(applied(), "Deployment")) if pod.name == stage]
    (container,) = [one for one in pod.spec["containers"] if one["name"] == stage]
    cores = float(amount(container["resources"]["limits"]["cpu"]))
    held = math.floor(SHARE * cores * 1000 / (RATE_HZ * cost_ms(stage)))
    assert threshold(stage) == held
    row = rf"^\| {stage} \| {cost_ms(stage):g} ms.* \| {cores:g} \| {held} \|$"
    assert re.search(row, PAGE.read_text(), re.M), row
    assert re.search(rf"^\| `{stage}` \| [^|]+ \| {held} \|", PAGE.read_text(), re.M)


@pytest.mark.parametrize("stage", ["pose", "normalize"])
def test_the_stages_can_scale_to_all_sessions(stage: str):
    """The largest numbers of pods hold as many streams as the largest number of orchestrators accepts."""
    data = {document["metadata"]["name"]: document["data"] for document in of_kind(applied(), "ConfigMap")}
    accepted = int(data["orchestrator-settings"]["ORCHESTRATOR_MAX_SESSIONS"])
    sessions = accepted * scaler("orchestrator")["spec"]["maxReplicas"]
    assert threshold(stage) * scaler(stage)["spec"]["maxReplicas"] >= sessions
    assert threshold("orchestrator") < accepted  # room until the next pod is ready


def test_one_pose_pod_takes_all_sessions_while_another_is_replaced():
    """Streams are refused only beyond the sessions of all orchestrators, whichever pod is away."""
    data = {document["metadata"]["name"]: document["data"] for document in of_kind(applied(), "ConfigMap")}
    (orchestrator,) = [one for one in of_kind(applied(), "Deployment") if one["metadata"]["name"] == "orchestrator"]
    sessions = int(data["orchestrator-settings"]["ORCHESTRATOR_MAX_SESSIONS"]) * orchestrator["spec"]["replicas"]
    assert int(data["pose-settings"]["POSE_MAX_STREAMS"]) >= sessions


def test_requests_are_summed_as_the_scheduler_does():
    """Containers add up, an init container counts if it requests more, and percentages of replicas round up."""
    spec = {
        "initContainers": [{"resources": {"requests": {"cpu": "2", "memory": "1Gi"}}}],
        "containers": [{"resources": {"requests": {"cpu": cpu, "memory": "1Gi"}}} for cpu in ("500m", "1")],
    }
    template = {"metadata": {"labels": {}}, "spec": spec}
    workload = {"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": 5, "template": template}}
    (pod,) = pods([workload])
    assert asked_by(pod) == Asked(Decimal(2), Decimal(2))
    assert surge(workload) == 2
    assert total([workload], updating=True) == Asked(Decimal(14), Decimal(14))
