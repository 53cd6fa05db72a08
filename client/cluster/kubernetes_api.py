"""The part of the Kubernetes API that a training needs; deploy/60-training-access.yaml grants these rights."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from kubernetes import client as api
from kubernetes import config
from kubernetes.client.exceptions import ApiException
from kubernetes.config.config_exception import ConfigException
from urllib3.exceptions import HTTPError, ReadTimeoutError

from client.cluster.job_status import JOB_LABEL, TrainingJob, TrainingPod, job_from, pod_from
from client.cluster.job_template import CONTAINER, SELECTOR
from client.cluster.options import ClusterAccess
from client.errors import ClusterError, UsageError
from serving.transport.tls import is_loopback

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 30.0
_RETRYABLE: Final = (408, 425, 429, 500, 502, 503, 504)
_ACCESS: Final = "deploy/60-training-access.yaml"


def pause(seconds: float) -> None:
    """Wait between two polls of the cluster."""
    threading.Event().wait(seconds)


@dataclass(slots=True)
class Outage:
    """Waits for a lost cluster, for at most `patience_seconds`. say: called once for each outage, with its cause.

    continues: what continues without the client, or how; it ends the message of the final error.
    """

    patience_seconds: float
    say: Callable[[str], None]
    poll_seconds: float
    continues: str
    _began_s: float | None = None

    def wait(self, error: ClusterError) -> None:
        """Pause before the next attempt. Raises ClusterError if a retry does not help, or patience has run out."""
        if not error.retryable:
            raise error
        if self._began_s is None:
            self._began_s = time.monotonic()
            self.say(f"reconnecting: {error}")
        if time.monotonic() - self._began_s >= self.patience_seconds:
            message = f"{error}; retried for {self.patience_seconds:g} s. {self.continues}"
            raise ClusterError(message, error.status) from error
        pause(self.poll_seconds)

    def over(self) -> bool:
        """End the outage: the cluster answers. Returns whether there was one."""
        was_lost, self._began_s = self._began_s is not None, None
        return was_lost


class LogSilent(ClusterError):
    """A log was silent for too long."""


class Cluster:
    """One namespace of one cluster; a context manager. Every method raises ClusterError, with a one-line message."""

    def __init__(self, api_client: api.ApiClient, namespace: str) -> None:
        self.namespace = namespace
        self.api_client = api_client
        self._batch = api.BatchV1Api(api_client)
        self.core = api.CoreV1Api(api_client)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.api_client.rest_client.pool_manager.clear()

    @property
    def address(self) -> str:
        """The address of the API server."""
        return str(self.api_client.configuration.host)

    def create_job(self, document: Mapping[str, Any]) -> TrainingJob:
        """Create a Job. The error's `status` is 409 if there is one of that name."""
        self._refuse_unknown(document, api.V1Job)
        return job_from(self._asked(self._batch.create_namespaced_job, self.namespace, document, **_STRICT))

    def job(self, name: str) -> TrainingJob:
        """The Job called `name`. The error's `status` is 404 if there is none."""
        return job_from(self._asked(self._batch.read_namespaced_job, name, self.namespace))

    def jobs(self) -> list[TrainingJob]:
        """All trainings, oldest first."""
        found = self._asked(self._batch.list_namespaced_job, self.namespace, label_selector=SELECTOR)
        return sorted((job_from(one) for one in found["items"]), key=lambda job: (str(job.created), job.name))

    def delete_job(self, name: str) -> None:
        """Delete a Job and its pods, which write their checkpoints. Its name stays taken until they have ended."""
        self._asked(self._batch.delete_namespaced_job, name, self.namespace, propagation_policy="Foreground")

    def pods(self, job: str) -> list[TrainingPod]:
        """The pods of a Job, oldest first."""
        found = self._asked(self.core.list_namespaced_pod, self.namespace, label_selector=f"{JOB_LABEL}={job}")
        return sorted((pod_from(one) for one in found["items"]), key=lambda pod: (pod.created, pod.name))

    def warnings(self, kind: str, name: str) -> list[str]:
        """The cluster's warnings about one object, oldest first."""
        which = f"involvedObject.kind={kind},involvedObject.name={name},type=Warning"
        found = self._asked(self.core.list_namespaced_event, self.namespace, field_selector=which)
        return [" ".join(f"{event.get('reason', '')}: {event.get('message', '')}".split()) for event in found["items"]]

    def log(self, pod: str, *, silence_seconds: float) -> Iterator[str]:
        """Follow the log of a training's pod from its beginning to its end; each line starts with its time.

        An incomplete line is left out. Raises LogSilent after `silence_seconds` without a byte.
        """
        with _errors(self.address):
            answer = self.core.read_namespaced_pod_log(
                pod,
                self.namespace,
                container=CONTAINER,
                follow=True,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(CONNECT_SECONDS, silence_seconds),
            )
            try:
                rest = b""
                for piece in answer.stream(2**16):
                    *lines, rest = (rest + piece).split(b"\n")
                    yield from (line.decode(errors="replace") for line in lines)
            except ReadTimeoutError as error:
                raise LogSilent(f"the log was silent for {silence_seconds:g} s", retryable=True) from error
            finally:
                answer.close()

    def create_pod(self, document: Mapping[str, Any]) -> None:
        """Create a pod. The error's `status` is 409 if there is one of that name."""
        self._refuse_unknown(document, api.V1Pod)
        self._asked(self.core.create_namespaced_pod, self.namespace, document, **_STRICT)

    def pod_document(self, name: str) -> dict[str, Any]:
        """A pod as a document of the API."""
        return self._asked(self.core.read_namespaced_pod, name, self.namespace)

    def delete_pod(self, name: str) -> None:
        """Delete a pod immediately. A missing pod is not an error."""
        try:
            self._asked(self.core.delete_namespaced_pod, name, self.namespace, grace_period_seconds=0)
        except ClusterError as error:
            if error.status != 404:
                raise

    def _asked(self, call: Callable[..., Any], *arguments: Any, **options: Any) -> dict[str, Any]:
        # Raw, because answers of a newer cluster may not fit this client's models.
        with _errors(self.address):
            answer = call(
                *arguments, _preload_content=False, _request_timeout=(CONNECT_SECONDS, ANSWER_SECONDS), **options
            )
            document: dict[str, Any] = json.loads(answer.data)
            return document

    def _refuse_unknown(self, document: Mapping[str, Any], model: Any) -> None:
        """Refuse fields that the client's models lack and would drop, such as a misspelt one in the user's template."""
        try:
            kept = self.api_client.sanitize_for_serialization(model.from_dict(dict(document)))
        except ValueError as error:
            raise UsageError(f"this is not a valid {document['kind']}: {' '.join(str(error).split())}") from error
        lost = _lost(document, kept)
        if lost:
            raise UsageError(f"a {document['kind']} has no field {', '.join(lost)}")


_STRICT: Final[dict[str, Any]] = {"field_validation": "Strict"}


def connected(access: ClusterAccess) -> Cluster:
    """Connect to kubeconfig's cluster, or in a pod without one to the pod's own. Raises ClusterError without either."""
    configuration = api.Configuration()
    kubeconfig = access.kubeconfig
    try:
        if kubeconfig is None and not _has_kubeconfig():
            config.load_incluster_config(client_configuration=configuration)
        else:
            config.load_kube_config(
                config_file=None if kubeconfig is None else str(kubeconfig),
                context=access.context,
                client_configuration=configuration,
            )
    except (ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        where = "KUBECONFIG or ~/.kube/config" if kubeconfig is None else str(kubeconfig)
        reason = " ".join(str(error).split()).rstrip(".")
        raise ClusterError(f"no cluster is known from {where}: {reason}; give --kubeconfig or --context") from error
    if is_loopback(urlsplit(configuration.host).hostname or "") and configuration.proxy in getproxies().values():
        configuration.no_proxy = "*"  # the environment's proxy cannot reach a cluster on this machine
    configuration.retries = False  # `client/cluster/job_watcher.py` decides how long to retry
    return Cluster(api.ApiClient(configuration), access.namespace)


def _has_kubeconfig() -> bool:
    places = config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION.split(":")
    return any(Path(place).expanduser().is_file() for place in places)


@contextmanager
def _errors(address: str) -> Iterator[None]:
    try:
        yield
    except ApiException as error:
        raise from_api(error, address) from error
    except (HTTPError, OSError, json.JSONDecodeError) as error:
        reason = " ".join(str(getattr(error, "reason", None) or error).split())
        raise ClusterError(f"the connection to {address} was lost ({reason})", retryable=True) from error


def from_api(error: ApiException, address: str) -> ClusterError:
    """The API's message, with what to do about it if known."""
    status = int(error.status or 0)
    message = f"HTTP {status} {error.reason or ''}".strip()
    with suppress(ValueError, KeyError, TypeError):
        message = " ".join(str(json.loads(error.body)["message"]).split())
    if not status:  # how the client reports that a WebSocket did not open
        return ClusterError(f"the connection to {address} was lost ({error.reason})", retryable=True)
    if status == 401:
        message += "; the cluster does not know you: log in again, or name another --context"
    elif status == 403 and "exceeded quota" not in message:
        message += f"; {_ACCESS} says what a training needs, and how you are given it"
    return ClusterError(f"{address}: {message}", status, retryable=status in _RETRYABLE)


def _lost(asked: Any, kept: Any, path: str = "") -> list[str]:
    if isinstance(asked, Mapping) and isinstance(kept, Mapping):
        return [
            lost
            for key, value in asked.items()
            for lost in ([f"{path}{key}"] if key not in kept else _lost(value, kept[key], f"{path}{key}."))
            if value is not None and value != {}
        ]
    if isinstance(asked, list) and isinstance(kept, list):
        return [lost for one, other in zip(asked, kept, strict=False) for lost in _lost(one, other, path)]
    return []
