"""The documents in deploy/ and overlays/, and common queries on them."""

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
    """Return the documents of one file."""
    return [document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document]


def files_of_deploy() -> list[Path]:
    """Return the files that `kubectl apply -f deploy/` reads, in order, without subfolders."""
    return sorted(path for path in DEPLOY.iterdir() if path.suffix in (".yaml", ".yml", ".json"))


def files_below_deploy() -> list[Path]:
    """Return the files that are applied separately: jobs and optional manifests."""
    return sorted(path for path in DEPLOY.rglob("*.yaml") if path.parent != DEPLOY)


@cache
def applied() -> list[Document]:
    """Return what `kubectl apply -f deploy/` applies. It is parsed once, so callers must copy it before changes."""
    return [document for path in files_of_deploy() for document in read(path)]


def overlays() -> list[str]:
    """Return the names of the overlays."""
    return sorted(path.parent.name for path in OVERLAYS.glob("*/kustomization.yaml"))


@cache
def _kustomized(folder: Path) -> str:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl, which builds the overlays, is not installed: see docs/deploy.md")
    built = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    assert not built.stderr, built.stderr  # a warning announces an error of the next version
    return built.stdout


def kustomized(folder: Path) -> list[Document]:
    """Return what `kubectl apply -k folder` applies. Skips the test without kubectl."""
    return list(yaml.load_all(_kustomized(folder), Loader=yaml.CSafeLoader))


@cache
def deployment(name: str) -> list[Document]:
    """Return a whole deployment: "deploy" or an overlay, with the jobs, which can run with any of them."""
    documents = applied() if name == "deploy" else kustomized(OVERLAYS / name)
    jobs = [document for path in sorted((DEPLOY / "jobs").glob("*.yaml")) for document in read(path)]
    return [*documents, *(job for job in jobs if job.get("kind") in WORKLOADS)]


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    """Return the documents of these kinds."""
    return [document for document in documents if document["kind"] in kinds]


def called(document: Document) -> str:
    """Return kind and name, for messages."""
    return f"{document['kind']}/{document['metadata']['name']}"


@dataclass(frozen=True)
class Pod:
    """The pod template of a workload. where: the workload, for messages."""

    where: str
    workload: Document
    labels: dict[str, str]
    spec: Document

    @property
    def name(self) -> str:
        """The name in the pod's label."""
        return self.labels.get(NAME_LABEL, "")

    def containers(self, *, init: bool = True) -> list[Document]:
        """Return all containers, or only those that keep running."""
        return [*(self.spec.get("initContainers", []) if init else []), *self.spec["containers"]]

    def ports(self) -> dict[str, int]:
        """Return the container ports by name."""
        return {port["name"]: port["containerPort"] for c in self.containers() for port in c.get("ports", [])}


def pods(documents: list[Document]) -> list[Pod]:
    """Return every pod template."""
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
    """Return whether labels satisfy a selector."""
    return selector.items() <= labels.items()


def environment(documents: list[Document], container: Document, *, optional: bool = True) -> dict[str, str]:
    """Return the container's variables: keys of its ConfigMaps, then its own. optional: include optional Secrets."""
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
    """Return every string in a document."""
    if isinstance(tree, dict):
        for value in tree.values():
            yield from words(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from words(value)
    elif isinstance(tree, str):
        yield tree
