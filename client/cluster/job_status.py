"""Jobs and pods of trainings: what the Kubernetes API reports, in our own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from rich.text import Text

from client.cluster.job_template import ACTOR_NOTE, CONTAINER, SUBMISSION_NOTE
from client.terminal.display import Display

JOB_LABEL: Final = "batch.kubernetes.io/job-name"
INDEX_LABEL: Final = "batch.kubernetes.io/job-completion-index"

JobState = Literal["waiting", "running", "complete", "failed", "suspended"]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingJob:
    """A training's Job.

    why, reason: why it ended, as a sentence and as one word of Kubernetes; empty before. attempts: failed pods that
    count. submission: identifies the `dance train` that created it. going: it is being deleted.
    """

    name: str
    actor: str
    state: JobState
    why: str
    reason: str
    created: datetime | None
    nodes: int
    attempts: int
    attempts_allowed: int
    uid: str
    submission: str
    going: bool

    @property
    def ended(self) -> bool:
        """Whether it is complete or failed."""
        return self.state in ("complete", "failed")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingPod:
    """One pod of a training.

    started: its container has run, so there is a log. exit_code: None until it ends. ended_why: Kubernetes' reason for
    the end, for example OOMKilled. waiting_for: why it does not run yet, for people; empty if it runs. disrupted: why
    the cluster removed it; empty if it did not.
    """

    name: str
    index: int
    created: str
    started: bool
    exit_code: int | None
    ended_why: str
    ended_at: str
    waiting_for: str
    disrupted: str
    phase: str

    @property
    def ended(self) -> bool:
        """Whether its container has ended for good."""
        return self.exit_code is not None or self.phase in ("Succeeded", "Failed")


def show_jobs(jobs: Sequence[TrainingJob], display: Display) -> None:
    """Show a table of trainings on a cluster."""
    rows = [
        (
            job.name,
            job.actor,
            "ending" if job.going else job.state,
            str(job.nodes),
            f"{job.attempts}/{job.attempts_allowed}",
            "" if job.created is None else f"{job.created:%Y-%m-%d %H:%M}",
            Text(job.why),
        )
        for job in jobs
    ]
    display.table(("job", "actor", "state", "pods", "retries", "begun (UTC)", "why"), rows)


def job_from(document: Mapping[str, Any]) -> TrainingJob:
    """Convert a Job from the API."""
    metadata, spec, status = document["metadata"], document["spec"], document.get("status", {})
    conditions = {c["type"]: c for c in status.get("conditions") or [] if c.get("status") == "True"}
    end = conditions.get("Failed") or conditions.get("Complete") or {}
    if end:
        state: JobState = "failed" if "Failed" in conditions else "complete"
    elif "Suspended" in conditions:
        state = "suspended"
    else:
        state = "running" if status.get("ready") else "waiting"
    return TrainingJob(
        name=metadata["name"],
        actor=metadata.get("annotations", {}).get(ACTOR_NOTE, ""),
        state=state,
        why=end.get("message", ""),
        reason=end.get("reason", ""),
        created=_time(metadata.get("creationTimestamp")),
        nodes=spec.get("completions") or 1,
        attempts=status.get("failed") or 0,
        attempts_allowed=spec.get("backoffLimit", 6),
        uid=metadata.get("uid", ""),
        submission=metadata.get("annotations", {}).get(SUBMISSION_NOTE, ""),
        going=bool(metadata.get("deletionTimestamp")),
    )


def pod_from(document: Mapping[str, Any]) -> TrainingPod:
    """Convert a pod from the API."""
    metadata, status = document["metadata"], document.get("status", {})
    containers = {c["name"]: c for c in status.get("containerStatuses") or []}
    state = containers.get(CONTAINER, {}).get("state") or {}
    ended = state.get("terminated")
    conditions = {c["type"]: c for c in status.get("conditions") or []}
    disrupted = conditions.get("DisruptionTarget", {})
    waiting_for = ""
    if "running" not in state and ended is None:
        waiting_for = _waiting_for(conditions, state, status)
    return TrainingPod(
        name=metadata["name"],
        index=int(metadata.get("labels", {}).get(INDEX_LABEL, 0)),
        created=metadata.get("creationTimestamp") or "",
        started="running" in state or ended is not None,
        exit_code=None if ended is None else int(ended["exitCode"]),
        ended_why=(ended or {}).get("reason", "") or status.get("reason", ""),
        ended_at=(ended or {}).get("finishedAt") or "",
        waiting_for=waiting_for,
        disrupted=sentence(disrupted) if disrupted.get("status") == "True" else "",
        phase=status.get("phase", "Pending"),
    )


def _waiting_for(conditions: Mapping[str, Any], state: Mapping[str, Any], status: Mapping[str, Any]) -> str:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return f"no node accepts it ({sentence(scheduled)})"
    waiting = state.get("waiting", {})
    if waiting.get("reason") in (None, "ContainerCreating", "PodInitializing"):
        return "its image and volumes" if scheduled else "a node"
    return sentence(waiting)


def sentence(said: Mapping[str, Any]) -> str:
    """Reason and message of a condition or a waiting container, on one line."""
    return ": ".join(" ".join(str(said[key]).split()) for key in ("reason", "message") if said.get(key))


def _time(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text).astimezone(UTC)
