"""The documents below deploy/ and overlays/, and what is asked of them again and again."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parents[3]
DEPLOY: Final = ROOT / "deploy"
OVERLAYS: Final = ROOT / "overlays"
NAMESPACE: Final = "everybody-dance"
NAME_LABEL: Final = "app.kubernetes.io/name"
CLUSTER_WIDE: Final = {"Namespace", "ClusterRole", "ClusterRoleBinding", "PersistentVolume", "StorageClass"}
WORKLOADS: Final = {"Deployment", "StatefulSet", "DaemonSet", "Job"}

Document = dict[str, Any]


def read(path: Path) -> list[Document]:
    """The documents of one file."""
    return [document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document]


def files_of_deploy() -> list[Path]:
    """What `kubectl apply -f deploy/` reads, in its order: the folder itself, not what lies below it."""
    return sorted(path for path in DEPLOY.iterdir() if path.suffix in (".yaml", ".yml", ".json"))


def files_below_deploy() -> list[Path]:
    """What is applied by itself, file by file or folder by folder: jobs and what is optional."""
    return sorted(path for path in DEPLOY.rglob("*.yaml") if path.parent != DEPLOY)


@cache
def applied() -> list[Document]:
    """What `kubectl apply -f deploy/` applies. Parsed once: to be copied by whoever changes it."""
    return [document for path in files_of_deploy() for document in read(path)]


def overlays() -> list[str]:
    """The names of the overlays."""
    return sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml"))


@cache
def _kustomized(folder: Path) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("there is no kubectl, whose `kustomize` builds the overlays: docs/deploy.md says how to get one")
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert not built.stderr, built.stderr  # it warns of what the next version will refuse
    return built.stdout


def kustomized(folder: Path) -> list[Document]:
    """What `kubectl apply -k folder` applies. Skips without kubectl."""
    return list(yaml.load_all(_kustomized(folder), Loader=yaml.CSafeLoader))


@cache
def deployment(name: str) -> list[Document]:
    """A whole deployment: "deploy" itself or an overlay, each with the jobs, which run beside any of them."""
    documents = applied() if name == "deploy" else kustomized(OVERLAYS / name)
    jobs = [document for path in sorted((DEPLOY / "jobs").glob("*.yaml")) for document in read(path)]
    return [*documents, *(job for job in jobs if job.get("kind") in WORKLOADS)]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """The documents of these kinds."""
    return [document for document in documents if document["kind"] in kinds]


def called(document: Document) -> str:
    """Kind and name, for messages."""
    return f"{document['kind']}/{document['metadata']['name']}"


@dataclass(frozen=True)
class Pod:
    """The pod that a workload makes. where: the workload, for messages."""

    where: str
    workload: Document
    labels: dict[str, str]
    spec: Document

    @property
    def name(self) -> str:
        """What its label calls it."""
        return self.labels.get(NAME_LABEL, "")

    def containers(self, *, init: bool = True) -> list[Document]:
        """All of them, or only those that stay."""
        return [*(self.spec.get("initContainers", []) if init else []), *self.spec["containers"]]

    def ports(self) -> dict[str, int]:
        """Container ports by name."""
        return {port["name"]: port["containerPort"] for c in self.containers() for port in c.get("ports", [])}


def pods(documents: list[Document]) -> list[Pod]:
    """Every pod template."""
    found = []
    for document in of_kind(documents, *WORKLOADS, "CronJob"):
        spec = document["spec"]["jobTemplate"]["spec"] if document["kind"] == "CronJob" else document["spec"]
        template = spec["template"]
        found.append(Pod(called(document), document, template.get("metadata", {}).get("labels", {}), template["spec"]))
    found += [
        Pod(called(document), document, document["metadata"]["labels"], document["spec"])
        for document in of_kind(documents, "Pod")
    ]
    return found


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether labels have all that a selector asks for."""
    return selector.items() <= labels.items()


def environment(documents: list[Document], container: Document, *, optional: bool = True) -> dict[str, str]:
    """The container's variables: its ConfigMaps' keys, then its own. optional: whether optional Secrets are there."""
    maps = {document["metadata"]["name"]: document for document in of_kind(documents, "ConfigMap")}
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        if "configMapRef" in source:
            found |= maps.get(source["configMapRef"]["name"], {}).get("data", {})
    for variable in container.get("env", []):
        source = variable.get("valueFrom", {})
        if "configMapKeyRef" in source:
            reference = source["configMapKeyRef"]
            found[variable["name"]] = maps.get(reference["name"], {}).get("data", {}).get(reference["key"], "")
        elif "secretKeyRef" in source:
            if optional or not source["secretKeyRef"].get("optional"):
                found[variable["name"]] = f"/run/{source['secretKeyRef']['name']}/{source['secretKeyRef']['key']}"
        elif source:
            found[variable["name"]] = "0"
        else:
            found[variable["name"]] = variable.get("value", "")
    return found


def words(tree: Any) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from words(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from words(value)
    elif isinstance(tree, str):
        yield tree
