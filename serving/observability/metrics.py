"""Prometheus metrics of every process, in base units. A session's id is never a label."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import Final, TypeVar

from prometheus_client import Counter, Gauge, Histogram, Info

MetricT = TypeVar("MetricT", Counter, Histogram)

FRAME_BUCKETS_SECONDS: Final = (
    0.001, 0.002, 0.004, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.033, 0.04, 0.05, 0.065, 0.08, 0.1, 0.16, 0.25, 0.5,
    1.0, 2.0, 5.0,
)  # fmt: skip
"""The bucket edges include frame budgets: 1/120, 1/60, 1/30, 1/25, 1/15 s and so on."""

STAGE_DURATION = Histogram(
    "dance_stage_duration_seconds",
    "From a frame leaving the link before a stage to the stage's answer (outcome ok) or to the failure of an attempt "
    "(timeout, failed or refused)",
    ["stage", "outcome"],
    buckets=FRAME_BUCKETS_SECONDS,
)
STAGE_COMPUTE = Histogram(
    "dance_stage_compute_seconds",
    "A stage's own work on a frame, measured by the stage",
    ["stage"],
    buckets=FRAME_BUCKETS_SECONDS,
)
"""Kept by the orchestrator, from each stage's answers. The stages' own metrics have other names."""
STAGE_QUEUE = Histogram(
    "dance_stage_queue_seconds", "How long a frame waited before a stage", ["stage"], buckets=FRAME_BUCKETS_SECONDS
)
STAGE_RETRIES = Counter(
    "dance_stage_retries", "Attempts repeated because the stage failed, whether or not they succeeded", ["stage"]
)
STAGE_REACHABLE = Gauge("dance_stage_reachable", "1 while the orchestrator has a connection to the stage", ["stage"])
FRAME_DURATION = Histogram(
    "dance_frame_seconds", "From a frame's arrival to the sending of its answer", buckets=FRAME_BUCKETS_SECONDS
)
FRAMES = Counter(
    "dance_frames", "Answered frames by result: picture, no_person, dropped, bad_frame, not_placed", ["result"]
)
MARKED_FRAMES = Counter(
    "dance_marked_frames",
    "Pictures of actors that were sent, by what marks them: watermark, label; none for those without a watermark",
    ["mark"],
)
REMARKS = Counter("dance_frame_remarks", "Remarks on answered frames, named as in dance/v1/transfer.proto", ["remark"])
RUNG_PICTURES = Counter(
    "dance_rung_pictures",
    "Pictures of adaptive sessions, by pose detail and height: what such a session steps down in",
    ["detail", "height_px"],
)
RUNG_CHANGES = Counter("dance_rung_changes", "Steps of adaptive sessions, down or up", ["direction"])
SESSIONS = Gauge("dance_sessions", "Open Transfer and FitBody streams")
SESSION_CAPACITY = Gauge(
    "dance_session_capacity", "How many Transfer and FitBody streams are admitted at the same time"
)
SESSION_ENDS = Counter(
    "dance_session_end",
    "Ended Transfer and FitBody streams by reason: finished, cancelled, drained, draining, full, refused, "
    "consent_ended, stage_failed, stage_timeout, client_silent, too_long, broken; also never_read if the client never "
    "read its status",
    ["reason"],
)
ACTOR_SESSION_ENDS = Counter(
    "dance_actor_session_end",
    "Ended sessions by actor, version and reason, as in dance_session_end: compares a new version with the old one",
    ["actor", "actor_version", "reason"],
)
CONSENT_REFUSED = Counter(
    "dance_consent_refused",
    "Sessions that no consent allows, refused or ended, by reason: not_stated, expired, revoked, deleted",
    ["reason"],
)
WARDROBE_BYTES = Gauge("dance_wardrobe_bytes", "Memory of the wardrobes that are loaded, each shared by its sessions")
FRAMES_IN_FLIGHT = Gauge("dance_frames_in_flight", "Frames received and not yet answered")
STREAMS = Gauge("dance_streams", "Open streams of a stage, counted by the stage itself", ["stage"])
EVENT_LOOP_LAG = Histogram("dance_event_loop_lag_seconds", "How late a timer fires", buckets=FRAME_BUCKETS_SECONDS)
BUILD_INFO = Info("dance_build", "The version, and the service that runs here")


@cache
def child(metric: MetricT, *labels: str) -> MetricT:
    """Return a metric's child for these labels. Cached: looking it up takes longer than observing it."""
    return metric.labels(*labels)


async def watch_event_loop(every_seconds: float = 0.25) -> None:
    """Observe `dance_event_loop_lag_seconds` until cancelled."""
    while True:
        asked_at = time.perf_counter()
        await asyncio.sleep(every_seconds)
        EVENT_LOOP_LAG.observe(max(0.0, time.perf_counter() - asked_at - every_seconds))
