"""A training as a Job, for a program without a terminal. All of this blocks: call it in a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from client.cluster import kubernetes_api
from client.cluster.job_template import on_cluster, read_template, render
from client.cluster.job_watcher import Watcher
from client.cluster.kubernetes_api import Cluster, Outage, connected
from client.cluster.options import ClusterTraining
from client.cluster.submission import job_or_none, submitted
from client.errors import ClusterError, JobFailed

_POLL_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class JobRun:
    """One training on a cluster, whose footage is in the footage volume already.

    asked: its training has the footage's paths in the pod, below /footage. work: the work folder in the pod.
    submission: identifies this run; the Job is found again by it, so `run` goes on where an ended process left off.
    on_line: called with each line of the training's log, and with one-line messages about the cluster.
    """

    asked: ClusterTraining
    work: Path
    submission: str
    on_line: Callable[[str], None]

    def run(self) -> int:
        """Create the Job, or find it, follow it to its end, and return the training's exit code.

        Raises CommandError if another training trains this actor, and ClusterError if the cluster refuses or stays
        unreachable.
        """
        asked = self.asked
        training = on_cluster(asked.training, asked.training.footage, asked.gpus)
        training = replace(training, work_root=self.work)
        document = render(read_template(asked.template), replace(asked, training=training), self.submission)
        with connected(asked.access) as cluster:
            job = submitted(cluster, document, self.submission, asked, self.on_line)
            try:
                Watcher(cluster, _Lines(self.on_line), asked.patience_seconds).watch(job.name)
            except JobFailed as failed:
                return failed.exit_code
        return 0

    def cancel(self) -> None:
        """Delete the Job, if it is there, and wait until its pods have ended. Raises ClusterError."""
        name = self.asked.job_name
        outage = Outage(self.asked.patience_seconds, self.on_line, _POLL_SECONDS, f"{name} is not cancelled")
        with connected(self.asked.access) as cluster:
            while True:
                try:
                    if self._is_gone(cluster, name):
                        return
                    outage.over()
                    kubernetes_api.pause(_POLL_SECONDS)
                except ClusterError as error:
                    outage.wait(error)

    def _is_gone(self, cluster: Cluster, name: str) -> bool:
        job = job_or_none(cluster, name)
        if job is None or job.submission != self.submission:
            return True
        if not job.going:
            cluster.delete_job(name)
        return False


@dataclass(frozen=True, slots=True)
class _Lines:
    on_line: Callable[[str], None]

    def line(self, text: str) -> None:
        self.on_line(text)

    def say(self, text: str) -> None:
        self.on_line(text)
