"""`dance train --on kubernetes` and `dance jobs`: start, watch and cancel trainings on a cluster."""

from __future__ import annotations

import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Final

from client.cluster import kubernetes_api
from client.cluster.footage_upload import LASTS_SECONDS, Upload
from client.cluster.job_status import TrainingJob, show_jobs
from client.cluster.job_template import FOOTAGE_FOLDER, on_cluster, read_template, render, upload_pod
from client.cluster.job_watcher import Watcher
from client.cluster.kubernetes_api import Cluster, connected
from client.cluster.options import ClusterAccess, ClusterTraining, job_name
from client.errors import ClusterError, CommandError, Interrupted, UsageError
from client.terminal.display import Display
from serving.actors.actor_id import is_actor_id
from serving.process.backoff import Backoff
from training.options import FootageRequest
from training.reporting.progress_display import shown

_POLL_SECONDS: Final = 2.0


def train_on_cluster(asked: ClusterTraining, display: Display) -> None:
    """Upload the footage, create the Job, and watch it until it ends.

    Raises JobFailed with the Job's own exit code, Interrupted on Ctrl-C (the Job continues), and ClusterError.
    """
    template = read_template(asked.template)
    submission = uuid.uuid4().hex
    footage = _in_volume(asked)
    name = asked.job_name
    with connected(asked.access) as cluster, _signals() as signals:
        with signals.end_with("nothing was started; the same command continues the upload"):
            _refuse_running(cluster, name, asked.access)
            if not footage.files:
                footage = _uploaded(cluster, template, asked, display)
            on_it = replace(asked, training=on_cluster(asked.training, footage, asked.gpus))
            job = _submitted(cluster, render(template, on_it, submission), submission, asked, display)
        display.note(f"{job.name} is on the cluster, in {asked.access.namespace}")
        if asked.detach:
            display.note(f"to watch it: {asked.access.command('watch', name)}")
            return
        _watch(cluster, name, asked.access, asked.patience_seconds, display, signals)


def watch_job(name: str, access: ClusterAccess, patience_seconds: float, display: Display) -> None:
    """Watch a Job, found by its name or its actor's, until it ends. Raises as `train_on_cluster` does."""
    with connected(access) as cluster, _signals() as signals:
        _watch(cluster, _found(cluster, name).name, access, patience_seconds, display, signals)


def cancel_job(name: str, access: ClusterAccess, display: Display) -> None:
    """Delete a Job, found by its name or its actor's. Its checkpoints stay in the footage volume."""
    with connected(access) as cluster:
        job = _found(cluster, name)
        cluster.delete_job(job.name)
    kept = "" if job.ended else "; it writes its checkpoint, from which the same `dance train` continues"
    display.note(f"{job.name} is cancelled{kept}")


def list_jobs(access: ClusterAccess, display: Display) -> None:
    """Show all trainings of the namespace."""
    with connected(access) as cluster:
        found = cluster.jobs()
    show_jobs(found, display)


def _watch(
    cluster: Cluster, name: str, access: ClusterAccess, patience_seconds: float, display: Display, signals: _Signals
) -> None:
    goes_on = f"{name} continues on the cluster. To watch it: {access.command('watch', name)}"
    with signals.end_with(f"{goes_on}. To end it: {access.command('cancel', name)}"), shown(display.err) as showing:
        watcher = Watcher(cluster, showing, patience_seconds)
        watcher.watch(name)
    display.out.print(f"{name} is complete")


def _uploaded(
    cluster: Cluster, template: dict[str, object], asked: ClusterTraining, display: Display
) -> FootageRequest:
    pod = upload_pod(template, asked, LASTS_SECONDS)
    paths = []
    for file in asked.training.footage.files:
        with display.bytes_progress(f"uploading {file.name}", file.stat().st_size) as on_bytes:
            paths.append(Upload(cluster, pod, display.note, on_bytes, asked.patience_seconds).bring(file))
        display.note(f"the footage is {paths[-1]} on the cluster")
    return replace(asked.training.footage, files=[Path(path) for path in paths])


def _submitted(
    cluster: Cluster, document: dict[str, object], submission: str, asked: ClusterTraining, display: Display
) -> TrainingJob:
    """Create the Job exactly once, even if an answer is lost; replace an ended one of the same name."""
    patience = _ClusterPatience(asked.patience_seconds)
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
            return there  # it is ours, and the answer was lost
        if not there.ended and not there.going:
            raise _running(there.name, asked.access)
        if not there.going:
            display.note(f"replacing the previous {there.name}, which is {there.state}")
            cluster.delete_job(there.name)
        patience.wait(ClusterError(f"the previous {there.name} is not gone yet"), display)


def _refuse_running(cluster: Cluster, name: str, access: ClusterAccess) -> None:
    there = _job_or_none(cluster, name)
    if there is not None and not there.ended and not there.going:
        raise _running(name, access)


def _running(name: str, access: ClusterAccess) -> CommandError:
    return CommandError(
        f"{name} is on the cluster already. To watch it: {access.command('watch', name)}. "
        f"To end it: {access.command('cancel', name)}"
    )


def _found(cluster: Cluster, name: str) -> TrainingJob:
    job = _job_or_none(cluster, name) or (_job_or_none(cluster, job_name(name)) if is_actor_id(name) else None)
    if job is None:
        known = ", ".join(job.name for job in cluster.jobs()) or "none"
        raise CommandError(f"there is no training {name!r} in {cluster.namespace}; there are: {known}")
    return job


def _job_or_none(cluster: Cluster, name: str) -> TrainingJob | None:
    try:
        return cluster.job(name)
    except ClusterError as error:
        if error.status == 404:
            return None
        raise


def _in_volume(asked: ClusterTraining) -> FootageRequest:
    """The footage that is on the cluster already; without files if it must be uploaded."""

    def below(option: str, what: str, path: str | Path) -> Path:
        whole = FOOTAGE_FOLDER / PurePosixPath(path)
        if not whole.is_relative_to(FOOTAGE_FOLDER) or ".." in whole.parts or whole == FOOTAGE_FOLDER:
            raise UsageError(f"{option} must be a {what} below {FOOTAGE_FOLDER}, got {path}")
        return Path(whole)

    return replace(
        asked.training.footage,
        files=[below("--footage-path", "file", path) for path in asked.footage_path],
        keypoints=[below("--keypoints", "folder", path) for path in asked.training.footage.keypoints],
    )


class _ClusterPatience:
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
    """Whether the user pressed Ctrl-C. It is remembered, because the client's WebSockets swallow KeyboardInterrupt."""

    def __init__(self) -> None:
        self.caught = False

    def on_signal(self, number: int, frame: FrameType | None) -> None:
        """Each signal interrupts the current step, whose clean-up still runs."""
        self.caught = True
        raise KeyboardInterrupt

    @contextmanager
    def end_with(self, message: str) -> Iterator[None]:
        """Turn any exception that follows a signal into Interrupted with `message`."""
        try:
            yield
        except (KeyboardInterrupt, Exception) as error:
            if self.caught:
                raise Interrupted(message) from error
            raise


@contextmanager
def _signals() -> Iterator[_Signals]:
    signals = _Signals()
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
    before = {number: signal.signal(number, signals.on_signal) for number in numbers}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
