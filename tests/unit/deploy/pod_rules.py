"""Rules for every pod: restricted, with limits, with an exact image. Each rule returns its violations."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from scripts.images import EXTRAS
from serving.rpc.server import VERSION
from tests.unit.deploy.manifests import ROOT, Document, Pod, of_kind, pods

PREFIX: Final = "everybody-dance/"
_VOLUMES: Final = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
_DECIMAL: Final = re.compile(r"(0|[1-9][0-9]*)(m|k|M|G|T)?")
_BINARY: Final = re.compile(r"([1-9][0-9]*)(Ki|Mi|Gi|Ti)")


def restricted(documents: list[Document]) -> list[str]:
    """Every pod meets the pod security standard "restricted" and has a read-only root file system."""
    faults = []
    for pod in pods(documents):
        spec, own = pod.spec, pod.spec.get("securityContext", {})
        faults += [f"{pod.where}: {name}" for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
        for volume in spec.get("volumes", []):
            faults += [f"{pod.where}: a volume of {kind}" for kind in set(volume) - {"name"} - _VOLUMES]
        if own.get("sysctls"):
            faults.append(f"{pod.where}: sysctls")
        for container in pod.containers():
            where, given = f"{pod.where} {container['name']}", container.get("securityContext", {})
            merged = own | given
            if merged.get("runAsNonRoot") is not True:
                faults.append(f"{where}: runAsNonRoot is not true")
            if merged.get("runAsUser") in (None, 0):
                faults.append(f"{where}: runAsUser is not a number above 0")
            if merged.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
                faults.append(f"{where}: no seccompProfile")
            if given.get("allowPrivilegeEscalation") is not False:
                faults.append(f"{where}: allowPrivilegeEscalation is not false")
            if given.get("privileged"):
                faults.append(f"{where}: privileged")
            if given.get("readOnlyRootFilesystem") is not True:
                faults.append(f"{where}: readOnlyRootFilesystem is not true")
            capabilities = given.get("capabilities", {})
            if capabilities.get("drop") != ["ALL"] or set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
                faults.append(f"{where}: capabilities are not dropped")
            if given.get("procMount", "Default") != "Default" or "seLinuxOptions" in merged:
                faults.append(f"{where}: procMount or seLinuxOptions")
            faults += [f"{where}: a hostPort" for port in container.get("ports", []) if port.get("hostPort")]
    return faults


def accounts(documents: list[Document]) -> list[str]:
    """Every pod has its own, existing account, and a token only if a Role is bound to the account."""
    known = {document["metadata"]["name"] for document in of_kind(documents, "ServiceAccount")}
    bindings = of_kind(documents, "RoleBinding", "ClusterRoleBinding")
    bound = {subject["name"] for binding in bindings for subject in binding.get("subjects", [])}
    faults = []
    for pod in pods(documents):
        account = pod.spec.get("serviceAccountName", "default")
        if account not in known:
            faults.append(f"{pod.where}: ServiceAccount {account} does not exist")
        if pod.spec.get("automountServiceAccountToken") is not False and account not in bound:
            faults.append(f"{pod.where}: has an unused token")
    return faults


def bounded(documents: list[Document]) -> list[str]:
    """Every container has requests and limits; every emptyDir has a size limit."""
    faults = []
    for pod in pods(documents):
        for container in pod.containers():
            resources = container.get("resources", {})
            faults += [
                f"{pod.where} {container['name']}: no {kind}.{name}"
                for kind in ("requests", "limits")
                for name in ("cpu", "memory")
                if name not in resources.get(kind, {})
            ]
        faults += [
            f"{pod.where}: emptyDir {volume['name']} has no sizeLimit"
            for volume in pod.spec.get("volumes", [])
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {})
        ]
    return faults


def images(documents: list[Document]) -> list[str]:
    """Our images exist in this version; other images have an exact tag."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["version"] == VERSION
    faults = []
    for pod in pods(documents):
        for container in pod.containers():
            image = container["image"]
            name, _, tag = image.rpartition(":")
            if not name or "/" in tag or not re.search(r"\d", tag) or "latest" in tag:
                faults.append(f"{pod.where} {container['name']}: {image} has no exact tag")
            elif image.startswith(PREFIX) and (name.removeprefix(PREFIX) not in EXTRAS or tag != VERSION):
                faults.append(f"{pod.where} {container['name']}: unknown image {image}")
    return faults


def only_triton_has_a_gpu(documents: list[Document]) -> list[str]:
    """A cluster with one GPU is enough: pods that request it can be scheduled and updated without a second GPU."""
    faults = []
    for pod in pods(documents):
        asks = [
            resource
            for container in pod.containers()
            for kind in ("requests", "limits")
            for resource in container.get("resources", {}).get(kind, {})
            if resource.startswith("nvidia.com/")
        ]
        if pod.workload["kind"] == "Job" or not asks:
            continue  # a training job requests its own GPU and waits for it
        if pod.name != "triton":
            faults.append(f"{pod.where}: requests a GPU")
        if "nvidia.com/gpu.present" not in pod.spec.get("nodeSelector", {}):
            faults.append(f"{pod.where}: no nodeSelector for nodes with GPUs")
        if not any(toleration.get("key") == "nvidia.com/gpu" for toleration in pod.spec.get("tolerations", [])):
            faults.append(f"{pod.where}: does not tolerate nodes with GPUs")
        surge = pod.workload["spec"].get("strategy", {}).get("rollingUpdate", {}).get("maxSurge")
        if "nvidia.com/gpu" in asks and surge != 0:
            faults.append(f"{pod.where}: maxSurge {surge} needs an additional GPU")
    return faults


def quantities(documents: list[Document]) -> list[str]:
    """Quantities are written as the API server returns them; otherwise each apply would find a difference."""
    faults = []

    def look(where: str, value: object) -> None:
        if not isinstance(value, str):
            faults.append(f"{where}: {value!r} is not a string")
            return
        decimal, binary = _DECIMAL.fullmatch(value), _BINARY.fullmatch(value)
        thousands = bool(decimal) and re.fullmatch(r"[0-9]*000m", value) is not None
        larger = binary is not None and int(binary[1]) % 1024 == 0
        if not (decimal or binary) or thousands or larger:
            faults.append(f"{where}: {value} is not in its shortest form")

    for pod in pods(documents):
        for container in pod.containers():
            for kind in ("requests", "limits"):
                for name, value in container.get("resources", {}).get(kind, {}).items():
                    look(f"{pod.where} {container['name']} {kind}.{name}", value)
        for volume in pod.spec.get("volumes", []):
            if (volume.get("emptyDir") or {}).get("sizeLimit") is not None:
                look(f"{pod.where} {volume['name']}", volume["emptyDir"]["sizeLimit"])
    for claim in of_kind(documents, "PersistentVolumeClaim"):
        look(claim["metadata"]["name"], claim["spec"]["resources"]["requests"]["storage"])
    return faults


def spread(documents: list[Document]) -> list[str]:
    """Replicas of services are spread over nodes and are not all evicted at the same time."""
    faults = []
    guarded = [d["spec"]["selector"]["matchLabels"].items() for d in of_kind(documents, "PodDisruptionBudget")]
    for pod in pods(documents):
        if pod.workload["kind"] != "Deployment" or not _ours(pod):
            continue
        constraints = pod.spec.get("topologySpreadConstraints", [])
        if not any(c["labelSelector"]["matchLabels"].items() <= pod.labels.items() for c in constraints):
            faults.append(f"{pod.where}: is not spread over nodes")
        if not any(selector <= pod.labels.items() for selector in guarded):
            faults.append(f"{pod.where}: has no PodDisruptionBudget")
    return faults


def _ours(pod: Pod) -> bool:
    return any(container["image"].startswith(PREFIX) for container in pod.containers(init=False))
