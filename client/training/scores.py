"""An actor's scores in rows for people, next to the baselines that it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from client.terminal.display import Display

_DRAWN_BY: Final = {
    "held_out": ("the actor", "pose_distance"),
    "nearest_training_frame": ("nearest training frame", None),
    "grey_figure": ("grey figure", None),
    "": ("the footage itself", "pose_distance_floor"),
}
"""The footage itself has no picture scores; detecting its poses again measures the noise floor of the detector."""
_DIGITS: Final = {"body_ssim": 3, "body_psnr_db": 1, "face_ssim": 3, "face_psnr_db": 1}


def show_scores(scores: Mapping[str, Any], display: Display) -> None:
    """Show `Actor.scores` as training stores them: the actor, both baselines, and the floor of the poses.

    SSIM: 1 is the same picture. PSNR: in dB, higher is better. Pose distance: in torso lengths, lower is better.
    `scores` is a free-form record of an actor: what it lacks has no row, or an empty cell.
    """
    rows, frames = [], 0
    for key, (drawn_by, pose_key) in _DRAWN_BY.items():
        pictures = scores.get(key, {})
        poses = scores.get(pose_key, {}) if pose_key else {}
        if pictures or poses:
            frames = frames or pictures.get("frames", poses.get("frames", 0))
            values = [*((pictures.get(name), digits) for name, digits in _DIGITS.items()), (poses.get("distance"), 3)]
            rows.append([drawn_by, *("" if value is None else f"{value:.{digits}f}" for value, digits in values)])
    if rows:
        headings = ("drawn by", "body SSIM", "body PSNR dB", "face SSIM", "face PSNR dB", "pose distance")
        display.table(headings, rows, title=f"{frames} held-out frames", names=1)
