"""An actor's scores as rows for people: what it draws, beside what it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_DRAWN_BY: Final = {
    "held_out": ("the actor", "pose_distance"),
    "nearest_training_frame": ("nearest training frame", None),
    "grey_figure": ("grey figure", None),
    "": ("the footage itself", "pose_distance_floor"),
}
"""The footage itself has no picture scores; its poses, found again, are the floor that the detector's noise sets."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """One way of drawing the held-out frames. None: not measured.

    SSIM: 1 is the same picture. PSNR: in dB, more is better. pose_distance: in torso lengths, less is better.
    """

    drawn_by: str
    frames: int
    body_ssim: float | None
    body_psnr_db: float | None
    face_ssim: float | None
    face_psnr_db: float | None
    pose_distance: float | None


def score_rows(scores: Mapping[str, Any]) -> list[ScoreRow]:
    """The rows of `Actor.scores`, as training stores them: the actor, both baselines, and the floor of the poses.

    What is not in `scores`, an actor's free record, has no row.
    """
    rows = []
    for key, (drawn_by, pose_key) in _DRAWN_BY.items():
        pictures = scores.get(key, {})
        poses = scores.get(pose_key, {}) if pose_key else {}
        if pictures or poses:
            rows.append(
                ScoreRow(
                    drawn_by=drawn_by,
                    frames=pictures.get("frames", poses.get("frames", 0)),
                    body_ssim=pictures.get("body_ssim"),
                    body_psnr_db=pictures.get("body_psnr_db"),
                    face_ssim=pictures.get("face_ssim"),
                    face_psnr_db=pictures.get("face_psnr_db"),
                    pose_distance=poses.get("distance"),
                )
            )
    return rows
