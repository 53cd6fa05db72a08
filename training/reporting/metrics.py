"""Prometheus metrics of a training, served while it runs, on the port in `TRAINING_METRICS_PORT`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from serving.errors import BadSettings
from serving.process.settings import from_environment
from training.reporting.progress import OnProgress, Progress

if TYPE_CHECKING:
    from training.evaluation.metrics import PictureScores

STEP_BUCKETS_SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""From steps on a large GPU to steps of a large network on two CPU cores."""

FRAMES_SEEN = Counter(
    "dance_training_frames_seen", "Pictures drawn in training by the processes of this machine, body and face"
)
STEP_SECONDS = Histogram(
    "dance_training_step_seconds", "One step of a network's training", buckets=STEP_BUCKETS_SECONDS
)
LOSS = Gauge("dance_training_loss", "Loss of the last step, by its name", ["name"])
SCORE = Gauge(
    "dance_training_score",
    "Last scores of held-out frames: sharpness, face_sharpness, body_ssim, body_psnr_db, face_ssim, face_psnr_db",
    ["metric"],
)
SECONDS_LEFT = Gauge("dance_training_seconds_left", "Estimated time to the end of the phase; NaN where it is not known")
SECONDS_LEFT.set(float("nan"))
PHASE = Gauge("dance_training_phase", "1 for what the training does now, 0 for what it did before", ["phase"])
CHECKPOINT = Gauge(
    "dance_training_checkpoint_timestamp_seconds",
    "When this process wrote its last checkpoint, in seconds since 1970; 0 before the first one",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingMetricsSettings:
    """Where the metrics of a training are served. Read once, from `TRAINING_METRICS_*`, at its start."""

    port: int = 0
    """0: do not serve them."""
    host: str = "0.0.0.0"
    """All addresses, since a port is set to be read. The metrics are numbers, and names of phases and losses."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must lie in 0 to 65535, got {self.port}")


@contextmanager
def served(on_progress: OnProgress) -> Iterator[OnProgress]:
    """Serve the metrics inside the context; yields an `on_progress` that updates them and calls the given one.

    If several processes train together, only the first on each machine serves. Raises BadSettings for a port that is
    invalid or in use.
    """
    settings = from_environment(TrainingMetricsSettings, "TRAINING_METRICS_")
    if settings.port == 0 or os.environ.get("LOCAL_RANK", "0") != "0":  # set by torchrun
        yield _kept(on_progress)
        return
    try:
        server, thread = start_http_server(settings.port, settings.host)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise BadSettings("TRAINING_METRICS_PORT", f"cannot listen on {where}; is it in use?") from error
    try:
        yield _kept(on_progress)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def step(pictures: int) -> Iterator[None]:
    """Time one step of a network's training, and count the pictures that all processes draw in it."""
    started_s = time.perf_counter()
    yield
    STEP_SECONDS.observe(time.perf_counter() - started_s)
    # Set by torchrun: one process counts for all of this machine, so that machines add up to the training.
    part = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) / int(os.environ.get("WORLD_SIZE", "1"))
    FRAMES_SEEN.inc(pictures * part)


def checkpoint_written() -> None:
    """Record the time of a checkpoint."""
    CHECKPOINT.set_to_current_time()


def scored(scores: PictureScores) -> None:
    """Show the scores of held-out frames; those of faces only if there is one."""
    for metric, value in scores.to_dict().items():
        if value is not None and metric.endswith(("_ssim", "_psnr_db", "sharpness")):
            SCORE.labels(metric).set(value)


def _kept(on_progress: OnProgress) -> OnProgress:
    phase = ""

    def keep(progress: Progress) -> None:
        nonlocal phase
        if progress.phase != phase:
            if phase:
                PHASE.labels(phase).set(0)
            phase = progress.phase
            PHASE.labels(phase).set(1)
        if not progress.note:  # a note has no estimate
            SECONDS_LEFT.set(float("nan") if progress.seconds_left is None else progress.seconds_left)
        for name, value in progress.losses.items():
            LOSS.labels(name).set(value)
        on_progress(progress)

    return keep
