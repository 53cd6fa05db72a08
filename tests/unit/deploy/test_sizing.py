"""What the pods ask for, summed up out of the manifests; docs/deploy.md has the same numbers."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import NamedTuple

import pytest

from tests.unit.deploy.api_server import amount
from tests.unit.deploy.manifests import OVERLAYS, ROOT, Document, Pod, applied, kustomized, of_kind, pods

# What the table shows. Overlays that only scale or encrypt ask for the same as what they are made of.
SHOWN = ("deploy", "cpu-only", "one-node", "one-node-cpu", "two-cores", "several-gpus", "external-prometheus")
_MONITORING = ("prometheus", "grafana")


class Asked(NamedTuple):
    """Requests of pods."""

    cpu: Decimal
    memory_gib: Decimal

    def __str__(self) -> str:
        return f"{_short(self.cpu)} CPU, {_short(self.memory_gib)} GiB"


def _short(number: Decimal) -> str:
    return f"{number:.3f}".rstrip("0").rstrip(".")


def asked_by(pod: Pod) -> Asked:
    """One pod: all containers that stay together, or one that prepares them, if it alone asks for more."""

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
    """How many pods there are beyond the number of replicas, while an update runs."""
    strategy = workload["spec"].get("strategy", {})
    if workload["kind"] != "Deployment" or strategy.get("type") == "Recreate":
        return 0
    most = strategy.get("rollingUpdate", {}).get("maxSurge", "25%")
    if isinstance(most, int):
        return most
    return math.ceil(workload["spec"].get("replicas", 1) * int(most.rstrip("%")) / 100)


def total(documents: list[Document], *, updating: bool = False, monitoring: bool = True) -> Asked:
    """All pods of the Deployments. updating: of all of them at once."""
    cpu = memory_gib = Decimal(0)
    for pod in pods(of_kind(documents, "Deployment", "StatefulSet")):
        if not monitoring and pod.name in _MONITORING:
            continue
        one = asked_by(pod)
        number = pod.workload["spec"].get("replicas", 1) + (surge(pod.workload) if updating else 0)
        cpu, memory_gib = cpu + number * one.cpu, memory_gib + number * one.memory_gib
    return Asked(cpu, memory_gib)


def documents_of(name: str) -> list[Document]:
    """What is applied, without Jobs."""
    return applied() if name == "deploy" else kustomized(OVERLAYS / name)


@pytest.mark.parametrize("name", SHOWN)
def test_the_page_has_what_is_asked_for(name: str):
    """A row for each: while nothing happens, and while an update of everything runs."""
    documents = documents_of(name)
    command = "-f deploy/" if name == "deploy" else f"overlays/{name}"
    row = f"| `{command}` | {total(documents)} | {total(documents, updating=True)} |"
    assert row in (ROOT / "docs" / "deploy.md").read_text()


def test_the_prerequisite_is_what_the_pipeline_asks_for():
    """Rounded up, and without Prometheus and Grafana, as the page says."""
    found = re.search(
        r"^\| (\d+) cores and (\d+) GiB that pods can request", (ROOT / "docs/deploy.md").read_text(), re.M
    )
    assert found is not None
    asked = total(applied(), monitoring=False)
    assert [int(number) for number in found.groups()] == [math.ceil(asked.cpu), math.ceil(asked.memory_gib)]


def test_two_cores_are_enough_for_two_cores():
    """Half of them, since the system's own pods ask too. An update asks for no more."""
    documents = documents_of("two-cores")
    assert total(documents).cpu <= 1
    assert total(documents, updating=True) == total(documents)
    for pod in pods(of_kind(documents, "Deployment")):
        assert surge(pod.workload) == 0, pod.where


def test_requests_are_summed_as_the_scheduler_does():
    """Containers together; an init container counts where it asks for more; a percentage of replicas is rounded up."""
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
