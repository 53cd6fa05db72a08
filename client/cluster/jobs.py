"""`dance train --on kubernetes` and `dance jobs`: trainings that run on a cluster, seen from here."""

from __future__ import annotations

import shlex
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Final

from client.cluster import kubernetes_api
from client.cluster.footage_upload import LASTS_SECONDS, Upload
from client.cluster.job_status import TrainingJob
from client.cluster.job_template import (
    FOOTAGE_FOLDER,
    JobRequest,
    job_name,
    on_cluster,
    read_template,
    render,
    upload_pod,
)
from client.cluster.job_watcher import PATIENCE_SECONDS, Watcher
from client.cluster.kubernetes_api import Cluster, connected
from client.errors import ClusterError, CommandError, Interrupted, UsageError
from client.terminal.display import Display
from serving.actors.actor_id import is_actor_id
from serving.process.backoff import Backoff
from training.options import FootageRequest, TrainRequest
from training.reporting.progress_display import shown

NAMESPACE: Final = "everybody-dance"
_POLL_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterAccess:
    """Which namespace of which cluster; None takes kubeconfig's own."""

    namespace: str = NAMESPACE
    kubeconfig: Path | None = None
    context: str | None = None

    def connected(self) -> Cluster:
        """Raises ClusterError where no cluster is known."""
        return connected(self.namespace, kubeconfig=self.kubeconfig, context=self.context)

    def command(self, *words: str) -> str:
        """A `dance jobs` command line with the same access."""
        options = [] if self.namespace == NAMESPACE else ["--namespace", self.namespace]
        options += [] if self.kubeconfig is None else ["--kubeconfig", str(self.kubeconfig)]
        options += [] if self.context is None else ["--context", self.context]
        return shlex.join(["dance", "jobs", *words, *options])


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterTraining:
    """What `dance train --on kubernetes` was asked for.

    training: with the footage's paths here. footage_paths: the files' paths in the cluster's footage volume, absolute
    or below it, and so are then the folders of poses in `training`; none uploads. detach: do not watch.
    """

    training: TrainRequest
    access: ClusterAccess
    footage_paths: tuple[str, ...] = ()
    image: str | None = None
    gpus: int = 1
    nodes: int = 1
    template: Path | None = None
    detach: bool = False
    patience_seconds: float = PATIENCE_SECONDS


def train_on_cluster(asked: ClusterTraining, display: Display) -> None:
    """Brings the footage, makes the Job, and watches it to the end.

    Raises JobFailed with the Job's own exit code, Interrupted when the user went away (the Job goes on), ClusterError.
    """
    template = read_template(asked.template)
    request = JobRequest(
        training=asked.training,
        namespace=asked.access.namespace,
        image=asked.image,
        gpus=asked.gpus,
        nodes=asked.nodes,
        submission=uuid.uuid4().hex,
    )
    footage = _in_volume(asked)
    name = request.job_name
    with asked.access.connected() as cluster, _signals() as signals:
        with signals.end_with("nothing was started; the same command goes on with what was uploaded"):
            _refuse_running(cluster, name, asked.access)
            if not footage.files:
                footage = _uploaded(cluster, template, request, asked, display)
            request = replace(request, training=on_cluster(asked.training, footage, asked.gpus))
            job = _submitted(cluster, render(template, request), request.submission, asked, display)
        display.note(f"{job.name} is on the cluster, in {asked.access.namespace}")
        if asked.detach:
            display.note(f"to watch it: {asked.access.command('watch', name)}")
            return
        _watch(cluster, name, asked.access, asked.patience_seconds, display, signals)


def watch_job(name: str, access: ClusterAccess, patience_seconds: float, display: Display) -> None:
    """Watches a Job, given by its name or its actor's, to the end. Raises as `train_on_cluster` does."""
    with access.connected() as cluster, _signals() as signals:
        _watch(cluster, _found(cluster, name).name, access, patience_seconds, display, signals)


def cancel_job(name: str, access: ClusterAccess, display: Display) -> None:
    """Ends a Job, given by its name or its actor's. What it has trained stays in the footage volume."""
    with access.connected() as cluster:
        job = _found(cluster, name)
        cluster.delete_job(job.name)
    kept = "" if job.ended else "; it writes its checkpoint, from which the same `dance train` goes on"
    display.note(f"{job.name} is cancelled{kept}")


def list_jobs(access: ClusterAccess, display: Display) -> None:
    """Shows all trainings of the namespace."""
    with access.connected() as cluster:
        found = cluster.jobs()
    display.jobs(found)


def _watch(
    cluster: Cluster,
    name: str,
    access: ClusterAccess,
    patience_seconds: float,
    display: Display,
    signals: _Signals,
) -> None:
    goes_on = f"{name} goes on without you. To watch it: {access.command('watch', name)}"
    with signals.end_with(f"{goes_on}. To end it: {access.command('cancel', name)}"), shown(display.err) as showing:
        watcher = Watcher(cluster, showing, patience_seconds)
        watcher.watch(name)
    display.out.print(f"{name} is complete")


def _uploaded(
    cluster: Cluster, template: dict[str, object], request: JobRequest, asked: ClusterTraining, display: Display
) -> FootageRequest:
    pod = upload_pod(template, request, LASTS_SECONDS)
    paths = []
    for file in asked.training.footage.files:
        with display.bytes_progress(f"uploading {file.name}", file.stat().st_size) as on_bytes:
            paths.append(Upload(cluster, pod, display.note, on_bytes, asked.patience_seconds).bring(file))
        display.note(f"the footage is {paths[-1]} on the cluster")
    return replace(asked.training.footage, files=tuple(map(Path, paths)))


def _submitted(
    cluster: Cluster, document: dict[str, object], submission: str, asked: ClusterTraining, display: Display
) -> TrainingJob:
    """The Job, made once, also where an answer was lost; an ended one of its name gives way."""
    patience = _Patience(asked.patience_seconds)
    while True:
        try:
            return cluster.create_job(document)
        except ClusterError as error:
            if error.retryable:
                patience.wait(error, display)
                continue
            if error.status != 409:
                raise
        try:
            there = cluster.job(str(document["metadata"]["name"]))  # type: ignore[index]
        except ClusterError as error:
            if error.status != 404 and not error.retryable:
                raise
            patience.wait(error, display)
            continue
        if there.submission == submission:
            return there  # ours: the answer was lost
        if not there.ended and not there.going:
            raise _running(there.name, asked.access)
        if not there.going:
            display.note(f"{there.name} of before, {there.state}, gives way")
            cluster.delete_job(there.name)
        patience.wait(ClusterError(f"{there.name} of before is not gone yet"), display)


def _refuse_running(cluster: Cluster, name: str, access: ClusterAccess) -> None:
    try:
        there = cluster.job(name)
    except ClusterError as error:
        if error.status == 404:
            return
        raise
    if not there.ended and not there.going:
        raise _running(name, access)


def _running(name: str, access: ClusterAccess) -> CommandError:
    return CommandError(
        f"{name} is on the cluster already. To watch it: {access.command('watch', name)}. "
        f"To end it: {access.command('cancel', name)}"
    )


def _found(cluster: Cluster, name: str) -> TrainingJob:
    try:
        return cluster.job(name)
    except ClusterError as error:
        if error.status != 404:
            raise
        if is_actor_id(name):
            try:
                return cluster.job(job_name(name))
            except ClusterError as second:
                if second.status != 404:
                    raise
        known = ", ".join(job.name for job in cluster.jobs()) or "none"
        raise CommandError(f"there is no training {name!r} in {cluster.namespace}; there are: {known}") from error


def _in_volume(asked: ClusterTraining) -> FootageRequest:
    """The footage that is on the cluster already; without files where there is none."""

    def below(option: str, what: str, path: str | Path) -> Path:
        whole = FOOTAGE_FOLDER / PurePosixPath(path)
        if not whole.is_relative_to(FOOTAGE_FOLDER) or ".." in whole.parts or whole == FOOTAGE_FOLDER:
            raise UsageError(f"{option} is a {what} below {FOOTAGE_FOLDER}, got {path}")
        return Path(whole)

    return replace(
        asked.training.footage,
        files=tuple(below("--footage-path", "file", path) for path in asked.footage_paths),
        keypoints=tuple(below("--keypoints", "folder", path) for path in asked.training.footage.keypoints),
    )


class _Patience:
    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._backoff = Backoff(_POLL_SECONDS, _POLL_SECONDS)
        self._told = ""

    def wait(self, error: ClusterError, display: Display) -> None:
        """Pause before the next attempt. Raises `error` once the pauses add up to the limit."""
        if self._backoff.paused_seconds >= self._limit_seconds:
            raise error
        if str(error) != self._told:
            self._told = str(error)
            display.note(f"trying again: {error}")
        kubernetes_api.pause(self._backoff.next_seconds())


class _Signals:
    """Whether the user wants to go. The client's WebSockets swallow KeyboardInterrupt, so it is remembered."""

    def __init__(self) -> None:
        self.caught = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """The first one ends what can be ended in good order, with its clean-up; so does each further one."""
        self.caught = True
        raise KeyboardInterrupt

    @contextmanager
    def end_with(self, message: str) -> Iterator[None]:
        """Raises Interrupted with `message` in place of whatever came out of the interruption."""
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            if self.caught:
                raise Interrupted(message) from error
            raise


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Callable[..., object] | int | None] = {
        number: signal.signal(number, signals.on_signal) for number in numbers
    }
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
