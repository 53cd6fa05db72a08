"""Rules for settings in the manifests: the code must accept them. Each rule returns its violations."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import Any, Final

from orchestrator.settings import OrchestratorSettings
from services.face.settings import FaceSettings
from services.generator.settings import GeneratorSettings
from services.generator.triton.access_key import REPOSITORY_KEY
from services.normalize.settings import NormalizeSettings
from services.pose.settings import PoseSettings
from serving.errors import BadSettings
from serving.process.settings import from_environment
from serving.rpc.server import ServerSettings
from tests.unit.deploy.manifests import NAMESPACE, ROOT, Document, Pod, environment, of_kind, pods
from tests.unit.deploy.pod_rules import PREFIX
from web.settings import WebSettings

PROCESSES: Final[dict[str, tuple[type[ServerSettings], str]]] = {
    "services.pose": (PoseSettings, "POSE_"),
    "services.normalize": (NormalizeSettings, "NORMALIZE_"),
    "services.face": (FaceSettings, "FACE_"),
    "services.generator": (GeneratorSettings, "GENERATOR_"),
    "orchestrator": (OrchestratorSettings, "ORCHESTRATOR_"),
    "web": (WebSettings, "WEB_"),
}
WRITTEN: Final = {"data_folder": "data", "making_folder": "footage", "making_actors": "actors"}
"""The volume of each folder that the page writes to."""
_CLEAN_UP_SECONDS: Final = 5
_OF_EVERYBODY: Final = {"HOME", "PATH", "MALLOC_ARENA_MAX", "OMP_WAIT_POLICY", "OMP_NUM_THREADS", "PYTHONUNBUFFERED"}
_OF_TORCHRUN: Final = "PET_"


def module_of(container: Document) -> str | None:
    """Return the module that the container runs; None if it runs something else."""
    command = [*container.get("command", []), *container.get("args", [])]
    return command[2] if command[:2] == ["python", "-m"] and len(command) > 2 else None


def processes(documents: list[Document]) -> Iterator[tuple[Pod, Document, ServerSettings]]:
    """Return every container of a gRPC process with the settings from its environment. Raises BadSettings."""
    for pod in pods(documents):
        for container in pod.containers(init=False):
            module = module_of(container)
            if module in PROCESSES:
                settings_type, prefix = PROCESSES[module]
                for optional in (False, True):
                    given = environment(documents, container, optional=optional)
                    yield pod, container, from_environment(settings_type, prefix, given)


def commands(documents: list[Document]) -> list[str]:
    """`python -m` names existing modules that can run."""
    faults = []
    for pod in pods(documents):
        for container in pod.containers():
            module = module_of(container)
            if module is None:
                continue
            path = ROOT / module.replace(".", "/")
            if not ((path / "__main__.py").exists() or path.with_suffix(".py").exists() or _installed(module)):
                faults.append(f"{pod.where} {container['name']}: module {module} does not exist")
    return faults


@cache
def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(f"{module}.__main__") is not None or module == "torch.distributed.run"
    except ModuleNotFoundError:
        return False


def variables(documents: list[Document]) -> list[str]:
    """The process of each of our containers accepts its environment."""
    faults = []
    try:
        for _ in processes(documents):
            pass
    except BadSettings as error:
        faults.append(str(error))
    prefixes = {prefix: module for module, (_, prefix) in PROCESSES.items()}
    for pod in pods(documents):
        for container in pod.containers():
            if not container["image"].startswith(PREFIX):
                continue
            module = module_of(container)
            for name in environment(documents, container):
                if any(f"${name}" in word for word in container.get("args", [])):
                    continue  # read by its script
                owner = next((prefixes[prefix] for prefix in prefixes if name.startswith(prefix)), None)
                if owner is not None and owner != module:
                    faults.append(f"{pod.where} {container['name']}: {name} is a setting of {owner}")
                elif owner is None and not (
                    name in _OF_EVERYBODY | _read_by_the_code() or name.startswith(_OF_TORCHRUN)
                ):
                    faults.append(f"{pod.where} {container['name']}: no process reads {name}")
    return faults


@cache
def _read_by_the_code() -> frozenset[str]:
    """The manifests contain the names that the code uses, such as that of the training container."""
    folders = ("client", "serving", "services", "orchestrator", "training")
    text = "".join(path.read_text() for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return frozenset(re.findall(r"[\"'`]([A-Z][A-Z0-9_]{3,})[\"'`=]", text))


def files(documents: list[Document]) -> list[str]:
    """Files and folders in settings are on a volume, and the actors are on the volume of actors."""
    faults = []
    for pod, container, settings in _accepted(documents):
        mounts = {mount["mountPath"]: mount for mount in container.get("volumeMounts", [])}
        for name in _path_fields(type(settings)):
            path = getattr(settings, name)
            if path is None or (name in ("actors_root", "making_actors") and not path.is_absolute()):
                continue
            at = [mount for mount in mounts if PurePosixPath(str(path)).is_relative_to(mount)]
            if not at:
                faults.append(f"{pod.where} {container['name']}: {name} {path} is not on a volume")
            elif name == "actors_root" and (mounts[at[0]]["name"] != "actors" or not mounts[at[0]].get("readOnly")):
                faults.append(f"{pod.where} {container['name']}: {path} is not the volume of actors, read-only")
            elif name in WRITTEN and (mounts[at[0]]["name"] != WRITTEN[name] or mounts[at[0]].get("readOnly")):
                faults.append(f"{pod.where} {container['name']}: {path} is not the volume {WRITTEN[name]}, writable")
    return faults


def _path_fields(settings_type: type[ServerSettings]) -> list[str]:
    hints = {name: str(kind) for kinds in reversed(settings_type.__mro__) for name, kind in _annotations(kinds)}
    return [name for name, kind in hints.items() if "Path" in kind]


def _annotations(kind: type) -> list[tuple[str, Any]]:
    return list(getattr(kind, "__annotations__", {}).items())


def _accepted(documents: list[Document]) -> Iterator[tuple[Pod, Document, Any]]:
    try:
        yield from processes(documents)
    except BadSettings:
        return  # `variables` reports it


def listening(documents: list[Document]) -> list[str]:
    """Processes listen on the containers' ports, on addresses that other machines can reach."""
    faults = []
    for pod, container, settings in _accepted(documents):
        numbers = {port["containerPort"] for port in container.get("ports", [])}
        wanted = {settings.port, settings.health_port, settings.metrics_port}
        if not wanted <= numbers:
            faults.append(f"{pod.where} {container['name']}: listens on {wanted}, its ports are {numbers}")
        if settings.host not in ("0.0.0.0", "::"):
            faults.append(f"{pod.where} {container['name']}: {settings.host} cannot be reached from outside")
    return faults


def addresses(documents: list[Document]) -> list[str]:
    """The orchestrator's addresses are ports of headless Services, so calls go to all replicas.

    The page's is one of the orchestrator's Service, since each session opens a connection of its own.
    """
    faults = []
    services = {service["metadata"]["name"]: service["spec"] for service in of_kind(documents, "Service")}
    certificates = {d["spec"]["secretName"]: d["spec"] for d in of_kind(documents, "Certificate")}
    for pod, _, settings in _accepted(documents):
        if isinstance(settings, WebSettings):
            faults += _page_faults(f"{pod.where}: {settings.server}", settings, services, certificates)
        if not isinstance(settings, OrchestratorSettings):
            continue
        for stage in ("pose", "normalize", "face", "agent", "triton"):
            address = getattr(settings, f"{stage}_address")
            found = re.fullmatch(rf"dns:///([a-z-]+)\.{NAMESPACE}\.svc\.cluster\.local:(\d+)", address)
            spec = services.get(found[1]) if found else None
            if found is None or spec is None:
                faults.append(f"{pod.where}: {stage} at {address} is not a Service")
                continue
            if spec.get("clusterIP") != "None":
                faults.append(f"{pod.where}: {stage} at {address} is not headless")
            if int(found[2]) not in {port["port"] for port in spec["ports"]}:
                faults.append(f"{pod.where}: {stage} at {address} has no such port")
            name = address.removeprefix("dns:///").rpartition(":")[0]
            if settings.stage_ca is not None and name not in certificates[f"{found[1]}-tls"]["dnsNames"]:
                faults.append(f"{pod.where}: no certificate of {found[1]} is for {name}")
    return faults


def _page_faults(
    where: str, settings: WebSettings, services: dict[str, Document], certificates: dict[str, Document]
) -> list[str]:
    name, _, port = settings.server.rpartition(":")
    if name != f"orchestrator.{NAMESPACE}.svc.cluster.local":
        return [f"{where} is not the orchestrator's Service"]
    faults = []
    if int(port) not in {one["port"] for one in services["orchestrator"]["ports"]}:
        faults.append(f"{where} has no such port")
    if settings.server_ca is not None:
        shown, own = certificates["orchestrator-tls"], certificates["web-tls"]
        if name not in shown["dnsNames"]:
            faults.append(f"{where}: the orchestrator's certificate is not for this name")
        if shown["issuerRef"] != own["issuerRef"]:
            faults.append(f"{where}: the authority beside the page's certificate is not that of the orchestrator's")
    return faults


def graces(documents: list[Document]) -> list[str]:
    """Pods have enough time to shut down cleanly: the orchestrator at least 120 s, Triton at least 75 s."""
    faults = []
    least = {"orchestrator": 120, "triton": 75}
    for pod, container, settings in _accepted(documents):
        needed = settings.drain_delay_seconds + settings.drain_seconds + _CLEAN_UP_SECONDS
        if isinstance(settings, GeneratorSettings) and not settings.triton_address:
            needed += settings.triton_exit_seconds
        if pod.spec.get("terminationGracePeriodSeconds", 30) < needed:
            faults.append(f"{pod.where}: {container['name']} needs {needed:g} s to end")
        if settings.drain_delay_seconds < 5:
            faults.append(f"{pod.where}: {container['name']} ends before its callers notice")
    for pod in pods(documents):
        given = pod.spec.get("terminationGracePeriodSeconds", 30)
        if pod.workload["kind"] == "Deployment" and given < least.get(pod.name, 0):
            faults.append(f"{pod.where}: has {given} s to end but needs {least[pod.name]}")
        for container in pod.containers():
            exits = [word for word in container.get("args", []) if word.startswith("--exit-timeout-secs=")]
            stop = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            if exits and given < int(stop[1]) + int(exits[0].partition("=")[2]) + _CLEAN_UP_SECONDS:
                faults.append(f"{pod.where}: {container['name']} needs {stop[1]} s and {exits[0]}")
    return faults


def room(documents: list[Document]) -> list[str]:
    """The pose and normalize streams are enough for all sessions; each of several Tritons loads every actor."""
    faults: list[str] = []
    places: dict[str, int] = {}
    for pod, _, settings in _accepted(documents):
        count = pod.workload["spec"].get("replicas")
        if count is None:
            continue
        most = getattr(settings, "max_sessions", None) or getattr(settings, "max_streams", None)
        if most is not None:
            places[pod.name] = count * most
    sessions = places.get("orchestrator", 0)
    faults += [
        f"{sessions} sessions, but {places[stage]} streams of {stage}"
        for stage in ("pose", "normalize")
        if places.get(stage, sessions) < sessions
    ]
    for pod, _, settings in _accepted(documents):
        if isinstance(settings, GeneratorSettings):
            several = pod.workload["spec"].get("replicas", 2) > 1
            if several and settings.load_at_start != "all":
                faults.append(f"{pod.where}: several Tritons, but a session's actor is loaded into one")
    return faults


def triton(documents: list[Document]) -> list[str]:
    """A Triton in its own container and its agent agree on the repository, the key, the port and who loads models."""
    faults = []
    for pod, agent, settings in _accepted(documents):
        if not isinstance(settings, GeneratorSettings) or not settings.triton_address:
            continue
        (server,) = [container for container in pod.containers(init=False) if container["name"] == "triton"]
        script = server["args"][server["args"].index("-euc") + 1]
        more = environment(documents, server)["TRITON_TLS"].split() if "$TRITON_TLS" in script else []
        words = dict(word.partition("=")[::2] for word in [*server["args"], *more] if word.startswith("--"))
        at = {m["name"]: m["mountPath"] for m in agent["volumeMounts"]}
        there = {m["name"]: m for m in server["volumeMounts"]}
        if not words.get("--model-repository") == str(settings.repository_root) == there["models"]["mountPath"]:
            faults.append(f"{pod.where}: the agent writes to {settings.repository_root}, Triton reads elsewhere")
        if not there["models"].get("readOnly") or at.get("models") != there["models"]["mountPath"]:
            faults.append(f"{pod.where}: the repository is not shared, or Triton may write to it")
        if there["actors"]["mountPath"] != str(settings.actors_root) or not there["actors"].get("readOnly"):
            faults.append(f"{pod.where}: Triton does not find the actors at {settings.actors_root}")
        if words.get("--model-control-mode") != "explicit" or words.get("--allow-http") != "false":
            faults.append(f"{pod.where}: other clients than the agent could load models")
        if f"model-repository,shared-memory,trace,logging:{REPOSITORY_KEY}=" not in script:
            faults.append(f"{pod.where}: loading models does not require the key")
        if str(settings.triton_repository_key_file) not in script:
            faults.append(f"{pod.where}: the agent and Triton have different keys")
        if settings.triton_address != f"127.0.0.1:{words.get('--grpc-port')}":
            faults.append(f"{pod.where}: Triton is not at {settings.triton_address}")
        if pod.ports().get("metrics") != int(words.get("--metrics-port", 0)):
            faults.append(f"{pod.where}: Triton's metrics are not at its port")
        if "/dev/shm" not in {m["mountPath"] for m in server["volumeMounts"]}:
            faults.append(f"{pod.where}: Triton needs more shared memory than a pod's default")
        secured = words.get("--grpc-use-ssl-mutual") == "true"
        if secured != (settings.triton_ca is not None):
            faults.append(f"{pod.where}: only one of Triton and its agent uses TLS")
        for name in ("--grpc-server-cert", "--grpc-server-key", "--grpc-root-cert"):
            mounted = [m["mountPath"] for m in server["volumeMounts"]]
            if secured and not any(PurePosixPath(words[name]).is_relative_to(path) for path in mounted):
                faults.append(f"{pod.where}: {words[name]} is not on a volume")
    return faults
