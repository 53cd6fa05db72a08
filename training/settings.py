"""The settings of a training job."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import torch

from motion.keypoint_files.folder import is_keypoints
from serving.actors.actor_id import checked_actor_id
from serving.errors import BadInput
from training.data.footage import Footage
from training.options import FootageRequest, TrainOptions, TrainRequest
from training.presets import (
    Preset,
    preset_named,
    with_adversarial,
    with_feature_matching,
    with_losses,
    with_perceptual,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSettings(TrainOptions):
    """What a job does: the options of a training, with its footage and preset. Raises BadInput."""

    footage: Footage | Path
    preset: Preset

    def __post_init__(self) -> None:
        checked_actor_id(self.actor)
        TrainOptions.__post_init__(self)  # super() does not work in a class with slots
        if self.device == "cuda" and not torch.cuda.is_available():
            raise BadInput("device", "cuda was requested, but torch finds no GPU here; use cpu")
        if self.start_from:
            checked_actor_id(self.start_from, field="from")
        recipe = self.recipe
        if self.minutes == 0 and recipe.references is None:
            raise BadInput("minutes", f"must be positive: preset {recipe.name} has nothing to publish before training")
        if self.vgg_weights is not None and recipe.perceptual != "vgg19":
            raise BadInput("vgg-weights", f"were given, but the perceptual loss is {recipe.perceptual}")

    @classmethod
    def of(cls, request: TrainRequest) -> JobSettings:
        """The settings for `request`. Raises BadInput, which names the option."""
        options = {field.name: getattr(request, field.name) for field in fields(TrainOptions)}
        return cls(**options, footage=footage_of(request.footage), preset=preset_named(request.preset))

    @property
    def recipe(self) -> Preset:
        """The preset with the requested losses. Raises BadInput."""
        preset = self.preset
        for changed, choice in (
            (with_losses, self.losses),
            (with_perceptual, self.perceptual),
            (with_adversarial, self.adversarial),
            (with_feature_matching, self.feature_matching),
        ):
            preset = preset if choice is None else changed(preset, choice)
        return preset

    @property
    def work_folder(self) -> Path:
        """The folder with what the job needs to continue, and with previews and scores for people."""
        return self.work_root / self.actor


def footage_of(request: FootageRequest) -> Footage:
    """The footage that `request` names. Raises BadInput for files and folders that do not go together."""
    for folder in request.keypoints:
        if not is_keypoints(folder) or not folder.exists():
            raise BadInput("--keypoints", f"{folder} is neither a folder nor a .json list")
    return Footage(
        files=tuple(request.files),
        keypoints=tuple(request.keypoints),
        most_frames_per_second=request.frame_rate,
    )
