"""Watch a training on a cluster until it ends: show log and progress live, each line once, despite failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from client.cluster import kubernetes_api
from client.cluster.job_status import TrainingJob, TrainingPod
from client.cluster.kubernetes_api import Cluster, LogSilent, Outage
from client.cluster.options import PATIENCE_SECONDS
from client.errors import ClusterError, JobFailed
from serving.process.exit_codes import EXIT_FAILED, EXIT_FINAL

_POLL_SECONDS: Final = 2.0
_SILENCE_SECONDS: Final = 45.0
"""A training logs every ten seconds, except in its longest steps. Reading the log again is cheap."""

_LOG_ATTEMPTS: Final = 5
"""Attempts to read the rest of the log of a pod that has ended."""


@dataclass(slots=True)
class LogPlace:
    """How far a pod's log was shown. same: the number of lines shown with time `at`, because times can repeat."""

    at: tuple[float, int] = (0.0, 0)
    same: int = 0

    def reader(self) -> Callable[[str], str | None]:
        """For one pass over the log: a function that returns a line's text, or None if the line was shown before."""
        start, skip, seen = self.at, self.same, 0

        def text_of(line: str) -> str | None:
            nonlocal seen
            when, _, text = line.partition(" ")
            at = _instant(when)
            if at is None:
                return line  # the kubelet's own message about a log that it cannot read
            if at < start:
                return None
            if at == start:
                seen += 1
                if seen <= skip:
                    return None
            if at >= self.at:  # the two outputs of a container can be a moment out of order
                self.at, self.same = at, self.same + 1 if at == self.at else 1
            return text

        return text_of


class LogDisplay(Protocol):
    """Shows a training's log."""

    def line(self, text: str) -> None:
        """Show a line of the log."""

    def say(self, text: str) -> None:
        """Show a one-line message about the Job or the cluster."""


@dataclass(slots=True)
class Watcher:
    """Watches one Job. showing: where its log goes. patience_seconds: how long to retry when the cluster is lost."""

    cluster: Cluster
    showing: LogDisplay
    patience_seconds: float = PATIENCE_SECONDS
    _places: dict[str, LogPlace] = field(default_factory=dict)
    _read: set[str] = field(default_factory=set)
    _told: set[str] = field(default_factory=set)
    _log_failures: Counter[str] = field(default_factory=Counter)
    _waiting_for: str = ""
    _codes: dict[str, tuple[str, int]] = field(default_factory=dict)

    def watch(self, name: str) -> TrainingJob:
        """Watch the Job called `name`, and return it after it has published an actor.

        Raises JobFailed with the training's own exit code if it fails, and ClusterError if the cluster stays
        unreachable or the Job does not exist.
        """
        uid = ""
        continues = f"The training continues: dance jobs watch {name}"
        outage = Outage(self.patience_seconds, self.showing.say, _POLL_SECONDS, continues)
        while True:
            try:
                job = self.cluster.job(name)
                if uid and job.uid != uid:
                    raise JobFailed(f"{name} was cancelled, and another one of that name began", EXIT_FAILED)
                uid = job.uid
                pods = self.cluster.pods(name)
                if outage.over():
                    self.showing.say("connected again")
                followed = self._followed(job, pods)
            except ClusterError as error:
                if error.status == 404 and uid:
                    raise JobFailed(f"{name} was cancelled", EXIT_FAILED) from error
                outage.wait(error)
                continue
            if followed:
                continue
            if job.ended:
                return self._end(job)
            self._pause()

    def _followed(self, job: TrainingJob, pods: list[TrainingPod]) -> bool:
        """Show what there is to show. Returns whether a log was read, so that `job` and `pods` are out of date."""
        for pod in pods:
            if pod.exit_code is not None:
                self._codes[pod.name] = (pod.ended_at, pod.exit_code)
        speaking = [pod for pod in pods if pod.index == 0 and pod.name not in self._read]
        for pod in speaking:
            if not pod.started:
                continue
            self._waiting_for = ""
            self._follow(pod)
            return True
        for pod in pods:
            if pod.ended and not (pod.exit_code == 0 or job.state == "complete"):
                self._say_once(_ended(pod, job), about=f"end of {pod.name}")
        if not job.ended:
            self._say_what_is_missing(job, [pod for pod in pods if not pod.ended])
        return False

    def _follow(self, pod: TrainingPod) -> None:
        self._say_once(f"{pod.name} runs", about=f"start of {pod.name}")
        text_of = self._places.setdefault(pod.name, LogPlace()).reader()
        try:
            for line in self.cluster.log(pod.name, silence_seconds=_SILENCE_SECONDS):
                text = text_of(line)
                if text is not None:
                    self._log_heard(pod)
                    self.showing.line(text)
        except LogSilent:
            return  # the training is in a long step or the connection is dead; reading again will tell
        except ClusterError as error:
            if error.status == 404:  # the pod was deleted while its log was read
                self._read.add(pod.name)
                return
            if error.status == 400:  # its container has not started, or is gone
                if pod.ended:
                    self._read.add(pod.name)
                self._pause()
                return
            if not error.retryable:
                raise
            self._log_lost(pod, error)
            return
        self._log_heard(pod)
        if pod.ended:  # before this reading began, so the log is complete
            self._read.add(pod.name)
        else:
            self._pause()  # the cluster reports its end a moment later

    def _log_lost(self, pod: TrainingPod, error: ClusterError) -> None:
        """Handle a log that cannot be read although the cluster answers: its node may be gone."""
        self._log_failures[pod.name] += 1
        if self._log_failures[pod.name] == 1:
            self.showing.say(f"reconnecting: {error}")
        if pod.ended and self._log_failures[pod.name] >= _LOG_ATTEMPTS:
            self.showing.say(f"the rest of the log of {pod.name} is lost")
            self._read.add(pod.name)
        self._pause()

    def _log_heard(self, pod: TrainingPod) -> None:
        if self._log_failures.pop(pod.name, 0):
            self.showing.say("connected again")

    def _say_what_is_missing(self, job: TrainingJob, pods: list[TrainingPod]) -> None:
        waiting_for = "; ".join(sorted({f"{pod.name}: {pod.waiting_for}" for pod in pods if pod.waiting_for}))
        if not pods and job.state == "suspended":
            waiting_for = f"{job.name} is suspended"
        elif not pods:
            waiting_for = next(iter(reversed(self.cluster.warnings("Job", job.name))), "")
        if waiting_for and waiting_for != self._waiting_for:
            self.showing.say(f"waiting: {waiting_for}")
        self._waiting_for = waiting_for

    def _end(self, job: TrainingJob) -> TrainingJob:
        if job.state == "complete":
            return job
        codes = [code for _, code in sorted(self._codes.values()) if code]
        code = codes[-1] if codes else EXIT_FAILED
        if job.reason == "PodFailurePolicy" and EXIT_FINAL in codes:
            code = EXIT_FINAL
        why = job.why or job.reason or "the cluster gives no reason"
        raise JobFailed(f"{job.name} failed with exit code {code}: {why}", code)

    def _say_once(self, text: str, *, about: str) -> None:
        if about not in self._told:
            self._told.add(about)
            self.showing.say(text)

    def _pause(self) -> None:
        kubernetes_api.pause(_POLL_SECONDS)


def _ended(pod: TrainingPod, job: TrainingJob) -> str:
    how = "without an exit code" if pod.exit_code is None else f"with exit code {pod.exit_code}"
    why = f" ({pod.ended_why})" if pod.ended_why and pod.ended_why != "Error" else ""
    if job.ended:
        return f"{pod.name} ended {how}{why}"
    if pod.disrupted:
        return (
            f"{pod.name} was removed by the cluster ({pod.disrupted}); this does not count, and the next pod continues"
        )
    counted = f"{job.attempts} of {job.attempts_allowed} retries used" if job.attempts else "not counted"
    return f"{pod.name} ended {how}{why}; the next pod continues from the checkpoint ({counted})"


def _instant(text: str) -> tuple[float, int] | None:
    """Seconds and nanoseconds of an RFC 3339 time, which datetime would round."""
    whole, _, rest = text.partition(".")
    digits = rest.rstrip("Zz").split("+")[0].split("-")[0]
    zone = rest[len(digits) :] if rest else ""
    try:
        return datetime.fromisoformat(whole + zone).timestamp(), int(digits.ljust(9, "0")[:9] or 0)
    except ValueError:
        return None
