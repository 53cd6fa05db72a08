"""The training record: the facts about a training that are kept with the published actor."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import torch

from training.data.footage import Footage
from training.data.prepared_footage import PreparedFootage
from training.loop.body_learner import BodyLearner
from training.loop.face_learner import FaceLearner
from training.networks.vgg import name_of
from training.presets import Preset
from training.settings import JobSettings


def training_record(
    settings: JobSettings,
    preset: Preset,
    length: str,
    prepared: PreparedFootage,
    body: BodyLearner | None,
    face: FaceLearner | None,
    state: str,
) -> dict[str, Any]:
    """The facts by name. length: the budget in words. body: None for a bare warp, which draws the reference alone.

    state: the fingerprint of the training's identity.

    Raises UnreadableVideo if the footage is gone.
    """
    footage = Footage.of(settings.footage)
    return {
        "trained_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "footage": footage.title,
        "held_out_blocks": [[block.start, block.stop] for block in prepared.split().blocks],
        "footage_fingerprint": footage.fingerprint(),
        "footage_file_fingerprints": footage.file_fingerprints(),
        "footage_report": prepared.report,
        "bare_warp": body is None,
        "coarse_pictures": 0 if body is None else body.coarse_pictures,
        "body_pictures": 0 if body is None else body.pictures_seen,
        "face_pictures": 0 if face is None else face.pictures_seen,
        "length": length,
        "losses": preset.losses,
        "adversarial": preset.adversarial,
        "feature_matching": preset.feature_matching,
        "perceptual": name_of(preset.perceptual),
        "pairs_per_step": settings.batch * (1 if body is None else body.computing.ranks.count),
        "started_from": "" if body is None else body.started_from,
        "face_started_from": "" if face is None else face.started_from,
        "put_back": (0 if body is None else body.coarse_restores + body.restores)
        + (0 if face is None else face.restores),
        "precision": preset.precision,
        "seed": settings.seed,
        "state": state,
        "torch": torch.__version__,
    }
