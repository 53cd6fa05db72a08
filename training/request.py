"""A training as it was asked for, as the settings of a job."""

from __future__ import annotations

from training.job import JobSettings
from training.options import TrainRequest
from training.presets import preset_named


def settings_for(request: TrainRequest) -> JobSettings:
    """Raises BadInput for an option that makes no sense, by its name."""
    return JobSettings(
        footage=request.footage,
        actor=request.actor,
        store_root=request.actors_root,
        work_root=request.work_root,
        preset=preset_named(request.preset),
        minutes=request.minutes,
        pictures=request.frames,
        losses=request.losses,
        perceptual=request.perceptual,
        vgg_weights=request.vgg_weights,
        batch=request.batch,
        compiled=request.compiled,
        start_from=request.start_from,
        seed=request.seed,
        consent=request.consent,
        device=request.device,
    )
