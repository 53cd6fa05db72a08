"""Kubernetes objects for trainings, made from one template: `deploy/jobs/train.yaml`, or the user's own."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Final

import yaml

from client.cluster.options import ClusterTraining
from client.errors import CommandError
from training.options import FootageRequest, TrainRequest

TEMPLATE: Final = Path(__file__).resolve().parents[2] / "deploy" / "jobs" / "train.yaml"
CONTAINER: Final = "training"
FOOTAGE_FOLDER: Final = PurePosixPath("/footage")
ACTORS_FOLDER: Final = PurePosixPath("/actors")
ACTOR_NOTE: Final = "everybody-dance/actor"
"""The annotation that names the actor; not every actor's id is a valid label."""
SUBMISSION_NOTE: Final = "everybody-dance/submission"
LABELS: Final = {"app.kubernetes.io/name": "training", "app.kubernetes.io/part-of": "everybody-dance"}
SELECTOR: Final = ",".join(f"{name}={value}" for name, value in LABELS.items())
UPLOAD_POD: Final = "footage-upload"
"""A fixed name, so that a Role can allow commands in this pod only."""

_GPU: Final = "nvidia.com/gpu"
_RENDEZVOUS_PORT: Final = 29500
_INDEX_NOTE: Final = "metadata.annotations['batch.kubernetes.io/job-completion-index']"
_ATTEMPTS: Final = 3

Document = dict[str, Any]


def on_cluster(training: TrainRequest, footage: FootageRequest, gpus: int) -> TrainRequest:
    """`training` with the paths and device of a pod. footage: with its paths in the pod."""
    return replace(
        training,
        footage=footage,
        store_root=Path(ACTORS_FOLDER),
        work_root=Path(FOOTAGE_FOLDER / "work" / training.actor),
        device="cuda" if gpus else "cpu",
    )


def read_template(path: Path | None = None) -> Document:
    """Read a template: a Job with a container `training`. By default our own.

    Raises CommandError for a file that cannot be read or contains something else.
    """
    path = TEMPLATE if path is None else path
    try:
        template = yaml.safe_load(path.read_text())
    except OSError as error:
        raise CommandError(f"the template {path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CommandError(f"the template {path} is not one YAML document: {' '.join(str(error).split())}") from error
    try:
        assert template["kind"] == "Job"
        assert _container(template)["args"]
        assert template["metadata"]["name"]
        assert _footage_mount(template)["name"] in {volume["name"] for volume in _pod_spec(template)["volumes"]}
    except (AssertionError, KeyError, TypeError, StopIteration) as error:
        raise CommandError(
            f"the template {path} must be a Job with a name, and a container {CONTAINER!r} that has args and a volume "
            f"at {FOOTAGE_FOLDER}"
        ) from error
    assert isinstance(template, dict)
    return template


def render(template: Mapping[str, Any], request: ClusterTraining, submission: str = "") -> Document:
    """The Job for `request`, made from `template`, which stays unchanged. submission: stored with the Job, if any."""
    job: Document = copy.deepcopy(dict(template))
    job["metadata"]["name"] = request.job_name
    job["metadata"]["namespace"] = request.access.namespace
    job["metadata"].setdefault("annotations", {})[ACTOR_NOTE] = request.training.actor
    for metadata in (job["metadata"], job["spec"]["template"].setdefault("metadata", {})):
        metadata["labels"] = metadata.get("labels", {}) | LABELS
    if submission:
        job["metadata"]["annotations"][SUBMISSION_NOTE] = submission
    container = _container(job)
    if request.image is not None:
        container["image"] = request.image
    container["args"] = [_literally(word) for word in request.training.arguments()]
    _set_gpus(_pod_spec(job), container, request.gpus)
    if request.nodes > 1 or request.gpus > 1:
        _train_together(job, request)
    return job


def upload_pod(template: Mapping[str, Any], request: ClusterTraining, lasts_seconds: int) -> Document:
    """A pod with the template's image, rights and footage volume that waits for commands, and then ends by itself."""
    job = copy.deepcopy(dict(template))
    spec, container = _pod_spec(job), _container(job)
    mount = _footage_mount(job)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": UPLOAD_POD,
            "namespace": request.access.namespace,
            "labels": {"app.kubernetes.io/name": UPLOAD_POD, "app.kubernetes.io/part-of": "everybody-dance"},
        },
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": lasts_seconds,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            **{key: spec[key] for key in ("securityContext", "serviceAccountName", "imagePullSecrets") if key in spec},
            "containers": [
                {
                    "name": "upload",
                    "image": request.image or container["image"],
                    "imagePullPolicy": container.get("imagePullPolicy", "IfNotPresent"),
                    "command": ["sleep", str(lasts_seconds)],
                    "resources": {
                        "requests": {"cpu": "100m", "memory": "64Mi"},
                        "limits": {"cpu": "1", "memory": "512Mi"},
                    },
                    "securityContext": container.get("securityContext", {}),
                    "volumeMounts": [mount],
                }
            ],
            "volumes": [volume for volume in spec["volumes"] if volume["name"] == mount["name"]],
        },
    }


def _pod_spec(job: Mapping[str, Any]) -> Document:
    spec: Document = job["spec"]["template"]["spec"]
    return spec


def _container(job: Mapping[str, Any]) -> Document:
    return next(container for container in _pod_spec(job)["containers"] if container["name"] == CONTAINER)


def _footage_mount(job: Mapping[str, Any]) -> Document:
    return next(mount for mount in _container(job)["volumeMounts"] if mount["mountPath"] == str(FOOTAGE_FOLDER))


def _literally(word: str) -> str:
    """Escape `$`: in arguments, Kubernetes replaces $(NAME) by a variable, and $$ by $."""
    return word.replace("$", "$$")


def _set_gpus(spec: Document, container: Document, gpus: int) -> None:
    limits = container.setdefault("resources", {}).setdefault("limits", {})
    if gpus:
        limits[_GPU] = str(gpus)
        return
    limits.pop(_GPU, None)
    selector = {key: value for key, value in spec.pop("nodeSelector", {}).items() if not key.startswith("nvidia.com/")}
    tolerations = [rule for rule in spec.pop("tolerations", []) if rule.get("key") != _GPU]
    spec |= {"nodeSelector": selector} if selector else {}
    spec |= {"tolerations": tolerations} if tolerations else {}


def _train_together(job: Document, request: ClusterTraining) -> None:
    """Run several processes by torchrun, whose environment sets their number and where they meet."""
    container = _container(job)
    container["command"] = ["python", "-m", "training.torchrun", "-m", "training"]
    together: list[Document] = [
        {"name": "PET_NNODES", "value": str(request.nodes)},
        {"name": "PET_NPROC_PER_NODE", "value": str(max(1, request.gpus))},
    ]
    if request.nodes > 1:
        spec = _pod_spec(job)
        together += [
            {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": _INDEX_NOTE}}},
            {"name": "PET_MASTER_ADDR", "value": f"{request.job_name}-0.{spec.setdefault('subdomain', 'training')}"},
            {"name": "PET_MASTER_PORT", "value": str(_RENDEZVOUS_PORT)},
        ]
        container.setdefault("ports", []).append({"name": "rendezvous", "containerPort": _RENDEZVOUS_PORT})
        job["spec"] |= {
            "completionMode": "Indexed",
            "completions": request.nodes,
            "parallelism": request.nodes,
            # A pod that crashes takes the processes of all others down, and each of them counts.
            "backoffLimit": _ATTEMPTS * request.nodes,
        }
        labels = job["spec"]["template"]["metadata"]["labels"]
        spec["topologySpreadConstraints"] = [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": dict(labels)},
            }
        ]
    container["env"] = [*container.get("env", []), *together]
