"""Every document matches the schemas of each supported version of Kubernetes, without unknown fields."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
from kubernetes_validate import utils

from tests.unit.deploy.manifests import (
    DEPLOY,
    ROOT,
    Document,
    applied,
    called,
    deployment,
    files_below_deploy,
    files_of_deploy,
    overlays,
    read,
)

VERSIONS = ("1.30", "1.33", "1.37")

# Kinds of other projects. No package has their schemas, so only apiVersion and the required and optional fields of spec
# are checked.
FOREIGN = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): ({"selector", "endpoints"}, {"jobLabel", "namespaceSelector"}),
    ("keda.sh/v1alpha1", "ScaledObject"): (
        {"scaleTargetRef", "triggers"},
        {"minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "advanced", "fallback"},
    ),
    ("cert-manager.io/v1", "Certificate"): (
        {"secretName", "issuerRef"},
        {"isCA", "commonName", "duration", "renewBefore", "privateKey", "usages", "dnsNames", "ipAddresses"},
    ),
    ("cert-manager.io/v1", "Issuer"): (set(), {"selfSigned", "ca", "acme"}),
    ("gateway.networking.k8s.io/v1", "Gateway"): ({"gatewayClassName", "listeners"}, set()),
    ("gateway.networking.k8s.io/v1", "GRPCRoute"): ({"parentRefs", "rules"}, {"hostnames"}),
}


@pytest.fixture(autouse=True)
def schemas_are_read_once(monkeypatch: pytest.MonkeyPatch):
    """Cache the schemas: the package reads two megabytes per document, ten seconds for a hundred documents."""
    monkeypatch.setattr(utils, "schema_contents", _schema)


@cache
def _schema(filename: str, desired_version: str):
    return _read_schema(filename, desired_version)


_read_schema = utils.schema_contents


def faults(document: Document, version: str) -> list[str]:
    """Return the errors of one document."""
    foreign = FOREIGN.get((document["apiVersion"], document["kind"]))
    if foreign is not None:
        needed, more = foreign
        given = set(document["spec"])
        return [f"{called(document)}: {name}" for name in (needed - given) | (given - needed - more)]
    try:
        kubernetes_validate.validate(document, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{called(document)}: {'.'.join(map(str, error.path))}: {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [f"{called(document)}: {error.message}"]
    return []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", [*files_of_deploy(), *files_below_deploy()], ids=lambda p: str(p.relative_to(DEPLOY)))
def test_every_document_is_valid(path: Path, version: str):
    """Documents are valid, and unknown fields are errors."""
    assert [fault for document in read(path) for fault in faults(document, version)] == []


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("overlay", overlays())
def test_what_an_overlay_makes_is_valid(overlay: str, version: str):
    """Patched documents are valid, too."""
    assert [fault for document in deployment(overlay) for fault in faults(document, version)] == []


def test_deploy_has_core_kinds_only():
    """Custom resources are in subfolders, because a missing kind makes `kubectl apply -f deploy/` fail."""
    foreign = {kind for _, kind in FOREIGN} | {"Job", "Kustomization"}
    assert [called(document) for document in applied() if document["kind"] in foreign] == []
    assert not list(DEPLOY.glob("kustomization.y*ml")), "kubectl apply -f would read it: name it Kustomization"
    assert not (ROOT / "deploy" / "overlays").exists()


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda d: d["spec"].update(replica=3), "replica"),
        (lambda d: d["spec"].pop("selector"), "selector"),
        (lambda d: d["spec"].update(replicas="two"), "two"),
        (lambda d: d["spec"]["template"]["spec"]["containers"][0]["ports"].append({"name": "more"}), "containerPort"),
        (lambda d: d.update(apiVersion="apps/v2"), "schema"),
    ],
)
def test_an_invalid_document_is_found(break_it, said: str):
    """The check finds unknown and missing fields, wrong types and wrong versions."""
    document = copy.deepcopy(next(one for one in applied() if called(one) == "Deployment/pose"))
    break_it(document)
    found = faults(document, VERSIONS[-1])
    assert found
    assert said in found[0]


def test_an_invalid_foreign_document_is_found():
    """For kinds without a schema, at least the field names are checked."""
    document = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "x"}}
    assert faults({**document, "spec": {"scaleTargetRef": {}, "trigger": []}}, VERSIONS[0])
