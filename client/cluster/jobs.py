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

from client.cluster.footage_upload import LASTS_SECONDS, Upload
from client.cluster.job_status import TrainingJob, show_jobs
from client.cluster.job_template import FOOTAGE_FOLDER, on_cluster, read_template, render, upload_pod
from client.cluster.job_watcher import Watcher
from client.cluster.kubernetes_api import Cluster, connected
from client.cluster.options import ClusterAccess, ClusterTraining, job_name
from client.cluster.submission import job_or_none, refuse_running, submitted
from client.errors import CommandError, Interrupted, UsageError
from client.terminal.display import Display
from serving.actors.actor_id import is_actor_id
from training.options import FootageRequest
from training.reporting.progress_display import shown


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
            refuse_running(cluster, name, asked.access)
            if not footage.files:
                footage = _uploaded(cluster, template, asked, display)
            on_it = replace(asked, training=on_cluster(asked.training, footage, asked.gpus))
            job = submitted(cluster, render(template, on_it, submission), submission, asked, display.note)
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


def _found(cluster: Cluster, name: str) -> TrainingJob:
    job = job_or_none(cluster, name) or (job_or_none(cluster, job_name(name)) if is_actor_id(name) else None)
    if job is None:
        known = ", ".join(job.name for job in cluster.jobs()) or "none"
        raise CommandError(f"there is no training {name!r} in {cluster.namespace}; there are: {known}")
    return job


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
