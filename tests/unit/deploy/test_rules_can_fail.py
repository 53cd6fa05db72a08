"""Every rule can fail: it rejects manifests with one specific error."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.deploy import pod_rules, policy_rules, settings_rules, wiring_rules
from tests.unit.deploy.manifests import Document, applied, called
from tests.unit.deploy.test_manifests import RULES

Break = Callable[[Callable[[str], Any]], Any]


def spec_of(document: Document) -> Document:
    """Return the spec of a Deployment's pods."""
    spec: Document = document["spec"]["template"]["spec"]
    return spec


def first(document: Document) -> Document:
    """Return the first container of a Deployment's pods."""
    container: Document = spec_of(document)["containers"][0]
    return container


def at(document: Document, *path: str | int) -> Any:
    """Return the value at a path."""
    for key in path:
        document = document[key]  # type: ignore[index]
    return document


POSE, TRITON, ORCHESTRATOR = "Deployment/pose", "Deployment/triton", "Deployment/orchestrator"
PAGE, PAGE_SETTINGS = "Deployment/web", "ConfigMap/web-settings"
CASES: list[tuple[str, Callable, Break]] = [
    ("root", pod_rules.restricted, lambda d: spec_of(d(POSE))["securityContext"].pop("runAsNonRoot")),
    ("seccomp", pod_rules.restricted, lambda d: spec_of(d(POSE))["securityContext"].pop("seccompProfile")),
    ("writes", pod_rules.restricted, lambda d: first(d(POSE))["securityContext"].pop("readOnlyRootFilesystem")),
    ("init", pod_rules.restricted, lambda d: spec_of(d(TRITON))["initContainers"][0].pop("securityContext")),
    ("hostPath", pod_rules.restricted, lambda d: spec_of(d(POSE))["volumes"].append({"name": "x", "hostPath": {}})),
    ("host", pod_rules.restricted, lambda d: spec_of(d(POSE)).update(hostPID=True)),
    ("adds", pod_rules.restricted, lambda d: first(d(POSE))["securityContext"]["capabilities"].update(add=["X"])),
    ("token", pod_rules.accounts, lambda d: spec_of(d(POSE)).pop("automountServiceAccountToken")),
    ("account", pod_rules.accounts, lambda d: spec_of(d(POSE)).update(serviceAccountName="poses")),
    ("no limit", pod_rules.bounded, lambda d: first(d(POSE))["resources"]["limits"].pop("memory")),
    ("no size", pod_rules.bounded, lambda d: spec_of(d(TRITON))["volumes"][2]["emptyDir"].pop("sizeLimit")),
    ("latest", pod_rules.images, lambda d: first(d(POSE)).update(image="everybody-dance/pose:latest")),
    ("no tag", pod_rules.images, lambda d: first(d(POSE)).update(image="registry:5000/everybody-dance/pose")),
    ("old", pod_rules.images, lambda d: first(d(POSE)).update(image="everybody-dance/pose:0.0.9")),
    ("misspelt", pod_rules.images, lambda d: first(d(POSE)).update(image="everybody-dance/poses:0.2.0")),
    (
        "another GPU",
        pod_rules.only_triton_has_a_gpu,
        lambda d: first(d(POSE))["resources"]["limits"].update({"nvidia.com/gpu": "1"}),
    ),
    (
        "surge",
        pod_rules.only_triton_has_a_gpu,
        lambda d: d(TRITON)["spec"]["strategy"]["rollingUpdate"].update(maxSurge=1),
    ),
    ("1000m", pod_rules.quantities, lambda d: first(d(POSE))["resources"]["limits"].update(cpu="4000m")),
    ("2048Mi", pod_rules.quantities, lambda d: first(d(POSE))["resources"]["limits"].update(memory="2048Mi")),
    ("a number", pod_rules.quantities, lambda d: first(d(POSE))["resources"]["limits"].update(cpu=4)),
    ("together", pod_rules.spread, lambda d: spec_of(d(POSE)).pop("topologySpreadConstraints")),
    (
        "budget",
        pod_rules.spread,
        lambda d: d("PodDisruptionBudget/pose")["spec"]["selector"]["matchLabels"].update(more="x"),
    ),
    ("twice", wiring_rules.identities, lambda d: d("ConfigMap/pose-settings")["metadata"].update(name="face-settings")),
    ("elsewhere", wiring_rules.identities, lambda d: d(POSE)["metadata"].pop("namespace")),
    ("generated", wiring_rules.identities, lambda d: d(POSE)["metadata"].update(generateName="pose-")),
    ("null", wiring_rules.identities, lambda d: d(POSE)["spec"].update(paused=None)),
    (
        "a name",
        wiring_rules.known_names,
        lambda d: at(d(POSE), "spec", "template", "metadata", "labels").update({"app.kubernetes.io/name": "posture"}),
    ),
    (
        "monitor",
        wiring_rules.monitors,
        lambda d: d("Service/face").update(
            kind="ServiceMonitor",
            spec={"selector": {"matchLabels": {"app.kubernetes.io/name": "pose"}}, "endpoints": [{"port": "metric"}]},
        ),
    ),
    ("two ports", wiring_rules.one_entry_each, lambda d: first(d(POSE))["ports"].append({"containerPort": 9090})),
    ("two keys", wiring_rules.one_entry_each, lambda d: spec_of(d(POSE))["volumes"].append({"name": "tmp"})),
    ("probe", wiring_rules.ports, lambda d: first(d(POSE))["readinessProbe"]["grpc"].update(port=9091)),
    ("word", wiring_rules.ports, lambda d: first(d(POSE))["livenessProbe"]["grpc"].update(service="alive")),
    ("target", wiring_rules.ports, lambda d: d("Service/pose")["spec"]["ports"][0].update(targetPort="grcp")),
    ("headless", wiring_rules.ports, lambda d: d("Service/pose")["spec"]["ports"][0].update(port=80)),
    ("no probe", wiring_rules.probes, lambda d: first(d(POSE)).pop("startupProbe")),
    ("liveness", wiring_rules.probes, lambda d: first(d(ORCHESTRATOR))["livenessProbe"]["grpc"].pop("service")),
    ("settings", wiring_rules.references, lambda d: d("ConfigMap/pose-settings")["metadata"].update(name="poses")),
    (
        "secret",
        wiring_rules.references,
        lambda d: first(d(ORCHESTRATOR))["env"][0]["valueFrom"]["secretKeyRef"].update(name="key"),
    ),
    ("scaled", wiring_rules.replicas, lambda d: d(POSE)["spec"].pop("replicas")),
    ("selector", wiring_rules.selectors, lambda d: d(POSE)["spec"]["selector"]["matchLabels"].update(more="x")),
    ("service", wiring_rules.selectors, lambda d: d("Service/pose")["spec"]["selector"].update(more="x")),
    ("mount", wiring_rules.volumes, lambda d: first(d(POSE))["volumeMounts"][0].update(name="temp")),
    ("claim", wiring_rules.volumes, lambda d: d("PersistentVolumeClaim/actors")["metadata"].update(name="actor")),
    (
        "protocol",
        wiring_rules.whole_lists,
        lambda d: d("NetworkPolicy/pose")["spec"]["ingress"][0]["ports"][0].pop("protocol"),
    ),
    (
        "address",
        settings_rules.addresses,
        lambda d: d("ConfigMap/orchestrator-settings")["data"].update(
            ORCHESTRATOR_FACE_ADDRESS="dns:///face.everybody-dance.svc.cluster.local:50055"
        ),
    ),
    ("one address", settings_rules.addresses, lambda d: d("Service/pose")["spec"].pop("clusterIP")),
    (
        "page's address",
        settings_rules.addresses,
        lambda d: d(PAGE_SETTINGS)["data"].update(WEB_SERVER="face.everybody-dance.svc.cluster.local:50050"),
    ),
    (
        "page's port",
        settings_rules.addresses,
        lambda d: d(PAGE_SETTINGS)["data"].update(WEB_SERVER="orchestrator.everybody-dance.svc.cluster.local:50051"),
    ),
    ("page's data", settings_rules.files, lambda d: d(PAGE_SETTINGS)["data"].update(WEB_DATA_FOLDER="/tmp/data")),
    ("page's liveness", wiring_rules.probes, lambda d: first(d(PAGE))["livenessProbe"]["grpc"].pop("service")),
    ("page's way", policy_rules.edges, lambda d: d("NetworkPolicy/web")["spec"].pop("egress")),
    ("page's door", policy_rules.edges, lambda d: d("NetworkPolicy/web")["spec"]["ingress"].pop(0)),
    ("module", settings_rules.commands, lambda d: first(d(POSE)).update(command=["python", "-m", "services.poses"])),
    ("folder", settings_rules.files, lambda d: d("ConfigMap/face-settings")["data"].update(FACE_ACTORS_ROOT="/actor")),
    (
        "written",
        settings_rules.files,
        lambda d: first(d("Deployment/face"))["volumeMounts"][1].pop("readOnly"),
    ),
    ("grace", settings_rules.graces, lambda d: spec_of(d(POSE)).update(terminationGracePeriodSeconds=25)),
    ("120 s", settings_rules.graces, lambda d: spec_of(d(ORCHESTRATOR)).update(terminationGracePeriodSeconds=110)),
    ("exit", settings_rules.graces, lambda d: spec_of(d(TRITON)).update(terminationGracePeriodSeconds=69)),
    ("port", settings_rules.listening, lambda d: d("ConfigMap/pose-settings")["data"].update(POSE_PORT="50051")),
    ("loopback", settings_rules.listening, lambda d: d("ConfigMap/pose-settings")["data"].update(POSE_HOST="::1")),
    ("streams", settings_rules.room, lambda d: d("ConfigMap/pose-settings")["data"].update(POSE_MAX_STREAMS="4")),
    ("two Tritons", settings_rules.room, lambda d: d(TRITON)["spec"].update(replicas=2)),
    (
        "repository",
        settings_rules.triton,
        lambda d: d("ConfigMap/agent-settings")["data"].update(GENERATOR_REPOSITORY_ROOT="/run/repository-key"),
    ),
    (
        "open",
        settings_rules.triton,
        lambda d: spec_of(d(TRITON))["containers"][1]["args"].remove("--allow-http=false"),
    ),
    ("unknown", settings_rules.variables, lambda d: d("ConfigMap/pose-settings")["data"].update(POSE_PRT="1")),
    ("value", settings_rules.variables, lambda d: d("ConfigMap/pose-settings")["data"].update(POSE_MAX_STREAMS="0")),
    ("plaintext", settings_rules.variables, lambda d: d("ConfigMap/pose-settings")["data"].pop("POSE_INSECURE")),
    ("foreign", settings_rules.variables, lambda d: d("ConfigMap/pose-settings")["data"].update(FACE_THREADS="2")),
    ("unread", settings_rules.variables, lambda d: d("ConfigMap/pose-settings")["data"].update(POES_PORT="2")),
    (
        "missing edge",
        policy_rules.edges,
        lambda d: d("NetworkPolicy/pose")["spec"]["ingress"].pop(0),
    ),
    (
        "no way out",
        policy_rules.edges,
        lambda d: d("NetworkPolicy/orchestrator")["spec"]["egress"].pop(0),
    ),
    (
        "one edge more",
        policy_rules.edges,
        lambda d: d("NetworkPolicy/pose")["spec"]["ingress"][0]["ports"].append({"protocol": "TCP", "port": 9090}),
    ),
    (
        "everybody",
        policy_rules.edges,
        lambda d: d("NetworkPolicy/pose")["spec"]["ingress"][0].pop("from"),
    ),
    ("open door", policy_rules.shut, lambda d: d("NetworkPolicy/deny-all")["spec"].update(policyTypes=["Ingress"])),
    (
        "everybody's",
        policy_rules.edges,
        lambda d: d("NetworkPolicy/deny-all")["spec"].update(ingress=[{"ports": [{"protocol": "TCP", "port": 9090}]}]),
    ),
    ("no policy", policy_rules.shut, lambda d: d("NetworkPolicy/deny-all")["spec"].update(ingress=[{}])),
]


@pytest.mark.parametrize(("rule", "break_it"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_rule_finds_it(rule: Callable[[list[Document]], list[str]], break_it: Break):
    """The rule accepts the manifests and rejects them with the change."""
    documents = copy.deepcopy(applied())
    assert rule(documents) == []
    break_it(lambda name: next(document for document in documents if called(document) == name))
    assert rule(documents) != []


def test_every_rule_is_broken_once():
    """Every rule has a case that violates it."""
    assert {rule.__name__ for rule in RULES} == {rule.__name__ for _, rule, _ in CASES}
