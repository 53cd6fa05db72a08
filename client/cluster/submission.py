"""Create a training's Job exactly once, whatever answers are lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from client.cluster import kubernetes_api
from client.cluster.job_status import TrainingJob
from client.cluster.kubernetes_api import Cluster
from client.cluster.options import ClusterAccess, ClusterTraining
from client.errors import ClusterError, CommandError
from serving.process.backoff import Backoff

_POLL_SECONDS: Final = 2.0


def submitted(
    cluster: Cluster,
    document: Mapping[str, Any],
    submission: str,
    asked: ClusterTraining,
    say: Callable[[str], None],
) -> TrainingJob:
    """Create the Job exactly once, even if an answer is lost; replace an ended one of the same name.

    submission: identifies who created the Job, which is returned if it is there already. say: called with one-line
    messages. Raises CommandError if another training of that name runs, and ClusterError.
    """
    patience = _ClusterPatience(asked.patience_seconds, say)
    while True:
        try:
            return cluster.create_job(document)
        except ClusterError as error:
            if error.retryable:
                patience.wait(error)
                continue
            if error.status != 409:
                raise
        try:
            there = cluster.job(str(document["metadata"]["name"]))
        except ClusterError as error:
            if error.status != 404 and not error.retryable:
                raise
            patience.wait(error)
            continue
        if there.submission == submission:
            return there  # it is ours, and the answer was lost
        if not there.ended and not there.going:
            raise _running(there.name, asked.access)
        if not there.going:
            say(f"replacing the previous {there.name}, which is {there.state}")
            cluster.delete_job(there.name)
        patience.wait(ClusterError(f"the previous {there.name} is not gone yet"))


def refuse_running(cluster: Cluster, name: str, access: ClusterAccess) -> None:
    """Raise CommandError if a training of this name has not ended."""
    there = job_or_none(cluster, name)
    if there is not None and not there.ended and not there.going:
        raise _running(name, access)


def job_or_none(cluster: Cluster, name: str) -> TrainingJob | None:
    """Return the Job called `name`; None if there is none. Raises ClusterError."""
    try:
        return cluster.job(name)
    except ClusterError as error:
        if error.status == 404:
            return None
        raise


def _running(name: str, access: ClusterAccess) -> CommandError:
    return CommandError(
        f"{name} is on the cluster already. To watch it: {access.command('watch', name)}. "
        f"To end it: {access.command('cancel', name)}"
    )


class _ClusterPatience:
    def __init__(self, limit_seconds: float, say: Callable[[str], None]) -> None:
        self._limit_seconds = limit_seconds
        self._say = say
        self._backoff = Backoff(_POLL_SECONDS, _POLL_SECONDS)
        self._told = ""

    def wait(self, error: ClusterError) -> None:
        """Pause before the next attempt. Raises `error` once the pauses add up to the limit."""
        if self._backoff.paused_seconds >= self._limit_seconds:
            raise error
        if str(error) != self._told:
            self._told = str(error)
            self._say(f"trying again: {error}")
        kubernetes_api.pause(self._backoff.next_seconds())
