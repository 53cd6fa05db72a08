"""A stand-in for Kubernetes' API server, for `kubectl apply` and `delete`: it stores documents and adds defaults.

The defaults are written by hand, for the kinds and fields that deploy/ uses. It validates nothing, because other tests
check the schemas. kubectl is real, and so is its decision whether anything must change.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from tests.unit.deploy.manifests import Document

# Plural names by group and version, as in API discovery; True: namespaced.
RESOURCES: Final[dict[str, dict[str, tuple[str, bool]]]] = {
    "v1": {
        "Namespace": ("namespaces", False),
        "ServiceAccount": ("serviceaccounts", True),
        "ConfigMap": ("configmaps", True),
        "Secret": ("secrets", True),
        "Service": ("services", True),
        "PersistentVolumeClaim": ("persistentvolumeclaims", True),
    },
    "apps/v1": {"Deployment": ("deployments", True), "StatefulSet": ("statefulsets", True)},
    "policy/v1": {"PodDisruptionBudget": ("poddisruptionbudgets", True)},
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True), "Ingress": ("ingresses", True)},
    "autoscaling/v2": {"HorizontalPodAutoscaler": ("horizontalpodautoscalers", True)},
    "monitoring.coreos.com/v1": {"ServiceMonitor": ("servicemonitors", True)},
    "keda.sh/v1alpha1": {"ScaledObject": ("scaledobjects", True)},
    "cert-manager.io/v1": {"Certificate": ("certificates", True), "Issuer": ("issuers", True)},
    "gateway.networking.k8s.io/v1": {"Gateway": ("gateways", True), "GRPCRoute": ("grpcroutes", True)},
    "rbac.authorization.k8s.io/v1": {"Role": ("roles", True), "RoleBinding": ("rolebindings", True)},
}
_NOT_FOUND: Final = {
    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound", "message": "not found"
}  # fmt: skip
_PROBE: Final = {"periodSeconds": 10, "timeoutSeconds": 1, "successThreshold": 1, "failureThreshold": 3}
_SUFFIXES: Final = {
    "": Decimal(1), "m": Decimal("0.001"), "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
}  # fmt: skip


class ApiServer:
    """The applied documents, by path."""

    def __init__(self) -> None:
        self.url = ""
        self.stored: dict[str, Document] = {}
        self.patches: list[tuple[str, Document]] = []


@contextmanager
def serving() -> Iterator[ApiServer]:
    """Serve on a free port until the context ends."""
    api = ApiServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(api))
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(api: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found = _discovery(path) or api.stored.get(path)
            self._answer(200 if found else 404, found or _NOT_FOUND)

        def do_POST(self) -> None:
            document = json.loads(self._body())
            path = f"{self.path.partition('?')[0]}/{document['metadata']['name']}"
            api.stored[path] = defaulted(document)
            self._answer(201, api.stored[path])

        def do_PATCH(self) -> None:
            path = self.path.partition("?")[0]
            api.patches.append((path, json.loads(self._body())))
            self._answer(200, api.stored[path])

        def do_DELETE(self) -> None:
            self._body()
            gone = api.stored.pop(self.path.partition("?")[0], None)
            if gone is not None and gone["kind"] == "Namespace":  # and everything in it
                inside = f"/namespaces/{gone['metadata']['name']}/"
                api.stored = {path: kept for path, kept in api.stored.items() if inside not in path}
            self._answer(200 if gone else 404, gone or _NOT_FOUND)

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, code: int, document: Document) -> None:
            body = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Suppress the log."""

    return Handler


def _discovery(path: str) -> Document | None:
    groups = [version for version in RESOURCES if "/" in version]
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        listed = [(version, {"groupVersion": version, "version": version.partition("/")[2]}) for version in groups]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [
            {"name": version.partition("/")[0], "versions": [one], "preferredVersion": one} for version, one in listed
        ]}  # fmt: skip
    version = re.sub(r"^/apis?/", "", path)
    if version not in RESOURCES or path == version:
        return None
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": [
        {"name": plural, "singularName": kind.lower(), "namespaced": namespaced, "kind": kind,
         "verbs": ["get", "list", "create", "patch", "delete"]}
        for kind, (plural, namespaced) in RESOURCES[version].items()
    ]}  # fmt: skip


def defaulted(document: Document) -> Document:
    """Return the document as the API server would store it, for the kinds in deploy/."""
    kind, spec = document["kind"], document.get("spec", {})
    document["metadata"] |= {"uid": "0", "resourceVersion": "1", "creationTimestamp": "2026-01-01T00:00:00Z"}
    if kind == "Namespace":
        document["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = document["metadata"]["name"]
        document["spec"] = {"finalizers": ["kubernetes"]}
    elif kind == "Service":
        _service(spec)
    elif kind == "PersistentVolumeClaim":
        _default(spec, volumeMode="Filesystem", storageClassName="standard", volumeName="pvc-0")
        document["status"] = {"phase": "Bound"}
        _quantities(spec["resources"]["requests"])
    elif kind == "NetworkPolicy":
        for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
            for port in rule.get("ports", []):
                _default(port, protocol="TCP")
    elif kind == "Deployment":
        _default(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
        _default(spec.setdefault("strategy", {}), type="RollingUpdate")
        if spec["strategy"]["type"] == "RollingUpdate":
            _default(spec["strategy"].setdefault("rollingUpdate", {}), maxSurge="25%", maxUnavailable="25%")
        document["metadata"].setdefault("annotations", {})["deployment.kubernetes.io/revision"] = "1"
        _pod(spec["template"]["spec"])
    elif kind == "ServiceMonitor":
        for endpoint in spec["endpoints"]:
            for rule in endpoint.get("relabelings", []):
                _default(rule, action="replace")
    elif kind == "Gateway":
        for listener in spec["listeners"]:
            _default(listener["tls"], mode="Terminate")
            _default(listener, allowedRoutes={"namespaces": {"from": "Same"}})
            for certificate in listener["tls"]["certificateRefs"]:
                _default(certificate, group="", kind="Secret")
    elif kind == "GRPCRoute":
        _route(spec)
    elif kind == "HorizontalPodAutoscaler":
        for direction in spec["behavior"].values():
            _default(direction, selectPolicy="Max")
        _default(spec["behavior"].setdefault("scaleUp", {}), selectPolicy="Max", stabilizationWindowSeconds=0)
        _default(spec["behavior"]["scaleUp"], policies=[{"type": "Percent", "value": 100, "periodSeconds": 15}])
    elif kind == "RoleBinding":
        _default(document["roleRef"], apiGroup="rbac.authorization.k8s.io")
    return document


def _service(spec: Document) -> None:
    _default(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster", clusterIP="10.0.0.1")
    _default(spec, clusterIPs=[spec["clusterIP"]], ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    for port in spec["ports"]:
        _default(port, protocol="TCP", targetPort=port["port"])


def _route(spec: Document) -> None:
    for parent in spec["parentRefs"]:
        _default(parent, group="gateway.networking.k8s.io", kind="Gateway")
    for rule in spec["rules"]:
        for match in rule["matches"]:
            _default(match["method"], type="Exact")
        for backend in rule["backendRefs"]:
            _default(backend, group="", kind="Service", weight=1)


def _pod(spec: Document) -> None:
    _default(spec, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _default(spec, terminationGracePeriodSeconds=30, securityContext={})
    if "serviceAccountName" in spec:
        spec["serviceAccount"] = spec["serviceAccountName"]
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        _default(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File")
        _default(container, imagePullPolicy="IfNotPresent", resources={})
        for port in container.get("ports", []):
            _default(port, protocol="TCP")
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            if name in container:
                _default(container[name], **_PROBE)
                _default(container[name].get("grpc", {}), service="")
                if "httpGet" in container[name]:
                    _default(container[name]["httpGet"], path="/", scheme="HTTP")
        for variable in container.get("env", []):
            if "fieldRef" in variable.get("valueFrom", {}):
                _default(variable["valueFrom"]["fieldRef"], apiVersion="v1")
        for amounts in container["resources"].values():
            _quantities(amounts)
    for volume in spec.get("volumes", []):
        for kind in ("configMap", "secret", "projected"):
            if kind in volume:
                _default(volume[kind], defaultMode=420)
        if (volume.get("emptyDir") or {}).get("sizeLimit"):
            _quantities(volume["emptyDir"], "sizeLimit")


def _default(target: Document, **values: Any) -> None:
    for name, value in values.items():
        target.setdefault(name, value)


def amount(text: str) -> Decimal:
    """Return a Kubernetes quantity as a number of cores or bytes."""
    number, suffix = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return Decimal(number) * _SUFFIXES[suffix]


def _quantities(amounts: Document, *names: str) -> None:
    """Write quantities as the API server does: in the largest unit that keeps them whole."""
    for name in names or tuple(amounts):
        value, suffix = amount(str(amounts[name])), re.sub(r"[0-9.]", "", str(amounts[name]))
        units = ("Ti", "Gi", "Mi", "Ki", "") if suffix.endswith("i") else ("", "m")
        unit = next(unit for unit in units if value % _SUFFIXES[unit] == 0)
        amounts[name] = f"{int(value / _SUFFIXES[unit])}{unit}"
