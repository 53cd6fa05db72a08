"""Rules for references: labels, ports, volumes, ConfigMaps, Secrets, accounts. Each rule returns its violations."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

from serving.rpc.health import LIVE
from tests.unit.deploy.manifests import (
    CLUSTER_WIDE,
    DEPLOY,
    NAME_LABEL,
    NAMESPACE,
    ROOT,
    Document,
    called,
    of_kind,
    pods,
    read,
    selects,
)

NEEDED: Final = {"orchestrator-tokens"}
"""The user's Secrets that pods need to start; only overlays/tls has any."""
NAMES: Final = {
    "pose", "normalize", "face", "triton", "orchestrator", "web", "training", "prometheus", "grafana",
}  # fmt: skip
_ELSEWHERE: Final = {"gpu-operator", "kube-system", "monitoring", "keda"}


def selectors(documents: list[Document]) -> list[str]:
    """Selectors match the intended pods."""
    faults, all_pods = [], pods(documents)

    def finds(where: str, selector: dict[str, str] | None) -> None:
        if selector == {NAME_LABEL: "training"}:
            return  # its pods are temporary
        if not selector or not any(selects(selector, pod.labels) for pod in all_pods):
            faults.append(f"{where}: {selector} selects no pod")

    for pod in all_pods:
        selector = pod.workload["spec"].get("selector", {}).get("matchLabels")
        if pod.workload["kind"] in ("Deployment", "StatefulSet", "DaemonSet") and (
            not selector or not selects(selector, pod.labels)
        ):
            faults.append(f"{pod.where}: {selector} does not select its own pods {pod.labels}")
        faults += [
            f"{pod.where}: is spread by the labels of others"
            for constraint in pod.spec.get("topologySpreadConstraints", [])
            if not selects(constraint["labelSelector"]["matchLabels"], pod.labels)
        ]
    for service in of_kind(documents, "Service"):
        finds(called(service), service["spec"].get("selector"))
    for budget in of_kind(documents, "PodDisruptionBudget"):
        finds(called(budget), budget["spec"]["selector"].get("matchLabels"))
    scaled = {pod.workload["metadata"]["name"] for pod in all_pods if pod.workload["kind"] == "Deployment"}
    faults += [
        f"{called(scaler)}: Deployment {scaler['spec']['scaleTargetRef']['name']} does not exist"
        for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject")
        if scaler["spec"]["scaleTargetRef"]["name"] not in scaled
    ]
    names = [pod.name for pod in all_pods if pod.workload["kind"] == "Deployment"]
    faults += [f"several Deployments have pods named {name}" for name in set(names) if names.count(name) > 1]
    return faults


def ports(documents: list[Document]) -> list[str]:
    """Services and probes name ports of their containers."""
    faults, all_pods = [], pods(documents)
    for service in of_kind(documents, "Service"):
        for pod in (pod for pod in all_pods if selects(service["spec"].get("selector", {}), pod.labels)):
            known = {**pod.ports(), **{str(number): number for number in pod.ports().values()}}
            for port in service["spec"]["ports"]:
                target = str(port.get("targetPort", port["port"]))
                if target not in known:
                    faults.append(f"{called(service)}: {pod.where} has no port {target}")
                elif service["spec"].get("clusterIP") == "None" and known[target] != port["port"]:
                    # A headless Service does not translate ports.
                    faults.append(f"{called(service)}: headless, but port {port['port']} is {known[target]} in the pod")
    for pod in all_pods:
        names = [port["name"] for c in pod.containers() for port in c.get("ports", [])]
        if len(names) != len(set(names)):
            faults.append(f"{pod.where}: two ports have the same name")
        for container in pod.containers():
            own = {port["name"] for port in container.get("ports", [])}
            for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
                faults += [
                    f"{pod.where} {container['name']}: {kind} {fault}"
                    for fault in _probe_faults(container.get(kind), own, set(pod.ports().values()))
                ]
    return faults


def _probe_faults(probe: Document | None, own_names: set[str], numbers: set[int]) -> list[str]:
    if probe is None or "exec" in probe:
        return []
    kind = next(kind for kind in ("grpc", "httpGet", "tcpSocket") if kind in probe)
    port = probe[kind]["port"]
    known = port in numbers if isinstance(port, int) else port in own_names
    faults = [] if known else [f"asks port {port}, which there is not"]
    if kind == "grpc" and probe["grpc"].get("service", "") not in ("", LIVE):
        faults.append(f"uses {probe['grpc']['service']}, which no health port serves")
    return faults


def probes(documents: list[Document]) -> list[str]:
    """Every server has all three probes, and no liveness probe depends on other processes."""
    faults = []
    for pod in pods(documents):
        if pod.workload["kind"] != "Deployment":
            continue
        for container in pod.containers(init=False):
            where = f"{pod.where} {container['name']}"
            faults += [
                f"{where}: no {kind}"
                for kind in ("startupProbe", "readinessProbe", "livenessProbe")
                if kind not in container
            ]
            if container["name"] in ("orchestrator", "agent", "web"):
                asked = container.get("livenessProbe", {}).get("grpc", {}).get("service", "")
                if asked != LIVE:
                    faults.append(f"{where}: would be restarted because another process is unavailable")
    return faults


def volumes(documents: list[Document]) -> list[str]:
    """Mounts have volumes; volumes have claims, ConfigMaps and Secrets; none is unused."""
    faults = []
    claims = {d["metadata"]["name"] for d in of_kind(documents, "PersistentVolumeClaim")}
    maps = {d["metadata"]["name"]: set(d.get("data", {})) for d in of_kind(documents, "ConfigMap")}
    secrets = _secrets(documents)
    for pod in pods(documents):
        known = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        mounted: set[str] = set()
        for container in pod.containers():
            where, paths = f"{pod.where} {container['name']}", []
            for mount in container.get("volumeMounts", []):
                mounted.add(mount["name"])
                paths.append(mount["mountPath"])
                if mount["name"] not in known:
                    faults.append(f"{where}: volume {mount['name']} does not exist")
                elif not mount.get("readOnly") and (known[mount["name"]].keys() & {"configMap", "secret"}):
                    faults.append(f"{where}: {mount['name']} is mounted writable")
            if len(paths) != len(set(paths)):
                faults.append(f"{where}: two mounts have the same path")
        faults += [f"{pod.where}: no container mounts {name}" for name in known.keys() - mounted]
        for volume in known.values():
            if "persistentVolumeClaim" in volume and volume["persistentVolumeClaim"]["claimName"] not in claims:
                faults.append(f"{pod.where}: claim {volume['persistentVolumeClaim']['claimName']} does not exist")
            sources = [volume, *volume.get("projected", {}).get("sources", [])]
            for source in sources:
                faults += [f"{pod.where}: {fault}" for fault in _source_faults(source, maps, secrets)]
    return faults


def _source_faults(source: Document, maps: dict[str, set[str]], secrets: set[str]) -> list[str]:
    faults = []
    if "configMap" in source:
        name = source["configMap"]["name"]
        if name not in maps:
            return [f"ConfigMap {name} does not exist"]
        items = {item["key"] for item in source["configMap"].get("items", [])}
        faults += [f"ConfigMap {name} has no key {key}" for key in items - maps[name]]
    if "secret" in source and not _known_secret(source["secret"], secrets):
        faults.append(f"Secret {source['secret']} does not exist")
    return faults


def _secrets(documents: list[Document]) -> set[str]:
    """Return the Secrets that the documents create, directly or through cert-manager."""
    made = {d["metadata"]["name"] for d in of_kind(documents, "Secret")}
    return made | {d["spec"]["secretName"] for d in of_kind(documents, "Certificate")}


def _known_secret(reference: Document, made: set[str]) -> bool:
    """Return whether a Secret is created or documented; the pods of deploy/ start without these Secrets."""
    name = str(reference.get("secretName", reference.get("name")))
    if reference.get("optional") is True and name in _made_by_cert_manager():
        return True
    return name in made or (name in _told_to_make() and (reference.get("optional") is True or name in NEEDED))


@cache
def _made_by_cert_manager() -> frozenset[str]:
    certificates = of_kind(read(DEPLOY / "optional" / "cert-manager" / "certificates.yaml"), "Certificate")
    return frozenset(certificate["spec"]["secretName"] for certificate in certificates)


@cache
def _told_to_make() -> frozenset[str]:
    pages = [*(ROOT / "docs").glob("*.md"), *DEPLOY.rglob("*.md"), *DEPLOY.rglob("*.yaml")]
    return frozenset(n for page in pages for n in re.findall(r"create secret generic ([a-z-]+)", page.read_text()))


def references(documents: list[Document]) -> list[str]:
    """Variables come from existing ConfigMaps and Secrets, and every ConfigMap is used."""
    faults, used = [], set()
    maps = {d["metadata"]["name"]: set(d.get("data", {})) for d in of_kind(documents, "ConfigMap")}
    for pod in pods(documents):
        for container in pod.containers():
            where = f"{pod.where} {container['name']}"
            for source in container.get("envFrom", []):
                name = source.get("configMapRef", {}).get("name")
                used.add(name)
                if name not in maps:
                    faults.append(f"{where}: ConfigMap {name} does not exist")
            for variable in container.get("env", []):
                wanted = variable.get("valueFrom", {})
                if "configMapKeyRef" in wanted:
                    name, key = wanted["configMapKeyRef"]["name"], wanted["configMapKeyRef"]["key"]
                    used.add(name)
                    if key not in maps.get(name, set()):
                        faults.append(f"{where}: ConfigMap {name} has no key {key}")
                if "secretKeyRef" in wanted and not _known_secret(wanted["secretKeyRef"], _secrets(documents)):
                    faults.append(f"{where}: Secret {wanted['secretKeyRef']['name']} does not exist")
        for volume in pod.spec.get("volumes", []):
            for source in [volume, *volume.get("projected", {}).get("sources", [])]:
                used.add(source.get("configMap", {}).get("name"))
    ours = {d["metadata"]["name"] for d in of_kind(documents, "ConfigMap") if _namespace(d) == NAMESPACE}
    faults += [f"ConfigMap {name} is unused" for name in ours - used]
    return faults


def identities(documents: list[Document]) -> list[str]:
    """Every document has a unique name, its namespace, and nothing that breaks applying it again."""
    faults, seen = [], set()
    for document in documents:
        where, metadata = called(document), document["metadata"]
        key = (document["kind"], _namespace(document), metadata["name"])
        if key in seen:
            faults.append(f"{where}: exists twice")
        seen.add(key)
        if document["kind"] not in CLUSTER_WIDE and _namespace(document) not in (NAMESPACE, *_ELSEWHERE):
            faults.append(f"{where}: namespace {_namespace(document)}")
        if metadata.get("labels", {}).get("app.kubernetes.io/part-of") != NAMESPACE:
            faults.append(f"{where}: not labelled as a part of {NAMESPACE}")
        faults += [f"{where}: {name}" for name in ("generateName", "resourceVersion", "uid") if name in metadata]
        faults += [f"{where}: status" for _ in [0] if "status" in document]
        faults += [f"{where}: null at {path}" for path in _nulls(document)]
    return faults


def one_entry_each(documents: list[Document]) -> list[str]:
    """Lists that are merged by a key have each key once; otherwise the second entry would win, or come and go."""
    faults = []
    for service in of_kind(documents, "Service"):
        keys = [(port["port"], port.get("protocol", "TCP")) for port in service["spec"]["ports"]]
        faults += [f"{called(service)}: port {key} twice" for key in set(keys) if keys.count(key) > 1]
    for pod in pods(documents):
        faults += _twice(f"{pod.where} volumes", pod.spec.get("volumes", []), "name")
        faults += _twice(f"{pod.where} containers", pod.containers(), "name")
        for container in pod.containers():
            where = f"{pod.where} {container['name']}"
            faults += _twice(f"{where} env", container.get("env", []), "name")
            faults += _twice(f"{where} ports", container.get("ports", []), "containerPort")
    return faults


def whole_lists(documents: list[Document]) -> list[str]:
    """Lists that are replaced as a whole contain the server's defaults, which each apply would otherwise remove."""
    return [
        f"{called(policy)}: port {port} without its protocol"
        for policy in of_kind(documents, "NetworkPolicy")
        for rule in [*policy["spec"].get("ingress", []), *policy["spec"].get("egress", [])]
        for port in rule.get("ports", [])
        if set(port) != {"protocol", "port"}
    ]


def replicas(documents: list[Document]) -> list[str]:
    """Deployments with an autoscaler have no number of replicas; all others have one."""
    scaled = {
        scaler["spec"]["scaleTargetRef"]["name"]
        for scaler in of_kind(documents, "HorizontalPodAutoscaler", "ScaledObject")
    }
    return [
        f"{called(workload)}: replicas {workload['spec'].get('replicas')}, scaled: {sorted(scaled)}"
        for workload in of_kind(documents, "Deployment")
        if ("replicas" in workload["spec"]) == (workload["metadata"]["name"] in scaled)
    ]


def monitors(documents: list[Document]) -> list[str]:
    """Each ServiceMonitor names a port of a selected Service."""
    faults = []
    for monitor in of_kind(documents, "ServiceMonitor"):
        selector = monitor["spec"]["selector"]["matchLabels"]
        found = [s for s in of_kind(documents, "Service") if selects(selector, s["metadata"].get("labels", {}))]
        named = {port.get("name") for service in found for port in service["spec"]["ports"]}
        wanted = {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]}
        if not wanted <= named:
            faults.append(f"{called(monitor)}: no Service has the ports {sorted(wanted - named)}")
    return faults


def _namespace(document: Document) -> str:
    default = "" if document["kind"] in CLUSTER_WIDE else "default"
    return str(document["metadata"].get("namespace", default))


def _twice(where: str, entries: list[Document], key: str) -> list[str]:
    values = [entry[key] for entry in entries]
    return [f"{where}: {value} twice" for value in {str(value) for value in values if values.count(value) > 1}]


def _nulls(tree: Any, path: str = "") -> list[str]:
    if tree is None:
        return [path]
    if isinstance(tree, dict):
        return [found for key, value in tree.items() for found in _nulls(value, f"{path}.{key}")]
    if isinstance(tree, list):
        return [found for number, value in enumerate(tree) for found in _nulls(value, f"{path}[{number}]")]
    return []


def known_names(documents: list[Document]) -> list[str]:
    """Pods have the names that everything else uses for them."""
    return [f"{pod.where}: {pod.name!r} is an unknown name" for pod in pods(documents) if pod.name not in NAMES]
