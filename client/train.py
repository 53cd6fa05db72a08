"""`dance train`: runs the training job, and shows how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from client.display import Display
from client.errors import Interrupted
from client.jobs import FootageRequest, shown, training_extra

if TYPE_CHECKING:
    from serving.actors import Actor


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What `dance train` was asked for; see `training.job.JobSettings`."""

    footage: FootageRequest
    actor: str
    preset: str
    minutes: float | None
    actors_root: Path
    work_root: Path
    seed: int
    consent: str
    device: str
    footage_anyway: bool
    publish_anyway: bool


def train(request: TrainRequest, display: Display) -> tuple[Actor, Path]:
    """The trained and published actor, and a picture of its held-out frames beside the true ones.

    Ctrl-C stops at a point from which the same command goes on.

    Raises CommandError without the training extra, Interrupted when stopped, and what `train_actor` raises.
    """
    with training_extra():
        # torch takes seconds to import, and is needed by few sub-commands.
        from training.job import JobSettings, train_actor
        from training.presets import preset_named
        from training.stopping import stop_on_signals
        from training.trainer import TrainingStopped
    settings = JobSettings(
        footage=request.footage.footage(),
        actor=request.actor,
        store_root=request.actors_root,
        work_root=request.work_root,
        preset=preset_named(request.preset),
        minutes=request.minutes,
        seed=request.seed,
        consent=request.consent,
        device=request.device,
        footage_anyway=request.footage_anyway,
        publish_anyway=request.publish_anyway,
    )
    preview = settings.work_folder / "preview.png"
    display.note(f"pictures of the growing actor: {preview}")
    try:
        with stop_on_signals() as should_stop, shown(display) as show:
            return train_actor(settings, show, should_stop), preview
    except TrainingStopped as stopped:
        raise Interrupted("training stopped; the same command goes on where it was") from stopped
