"""A training and its footage as they were asked for, as training takes them."""

from __future__ import annotations

from motion.keypoint_files.folder import is_keypoints
from serving.errors import BadInput
from training.data.footage import Footage
from training.options import FootageRequest, TrainRequest
from training.presets import preset_named
from training.settings import JobSettings


def footage_of(request: FootageRequest) -> Footage:
    """Raises BadInput for what does not belong together."""
    for folder in request.keypoints:
        if not is_keypoints(folder) or not folder.exists():
            raise BadInput("--keypoints", f"{folder} is neither a folder nor a .json list")
    return Footage(
        files=request.files, keypoints=request.keypoints, most_frames_per_second=request.most_frames_per_second
    )


def settings_for(request: TrainRequest) -> JobSettings:
    """Raises BadInput for an option that makes no sense, by its name."""
    return JobSettings(
        footage=footage_of(request.footage),
        actor=request.actor,
        store_root=request.actors_root,
        work_root=request.work_root,
        preset=preset_named(request.preset),
        minutes=request.minutes,
        pictures=request.frames,
        losses=request.losses,
        perceptual=request.perceptual,
        adversarial=request.adversarial,
        feature_matching=request.feature_matching,
        vgg_weights=request.vgg_weights,
        batch=request.batch,
        compiled=request.compiled,
        start_from=request.start_from,
        seed=request.seed,
        consent=request.consent,
        device=request.device,
        footage_anyway=request.footage_anyway,
        publish_anyway=request.publish_anyway,
    )
