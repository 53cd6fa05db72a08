"""An actor's scores in rows for people, next to the baselines that it must beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from client.terminal.display import Display

_DRAWN_BY: Final = {
    "held_out": ("the actor", "pose_distance"),
    "nearest_training_frame": ("nearest training frame", None),
    "grey_figure": ("grey figure", None),
    "": ("the footage itself", "pose_distance_floor"),
}
"""The footage itself has no picture scores; detecting its poses again measures the noise floor of the detector."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreRow:
    """One way of drawing the held-out frames. None: not measured.

    SSIM: 1 is the same picture. PSNR: in dB, higher is better. pose_distance: in torso lengths, lower is better.
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

    `scores` is a free-form record of an actor; what it lacks gets no row.
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


def show_scores(rows: Sequence[ScoreRow], display: Display) -> None:
    """Show how well an actor draws held-out frames, next to the baselines that it must beat."""
    if not rows:
        return
    digits = {"body_ssim": 3, "body_psnr_db": 1, "face_ssim": 3, "face_psnr_db": 1, "pose_distance": 3}
    cells = [
        [
            row.drawn_by,
            *("" if (value := getattr(row, name)) is None else f"{value:.{n}f}" for name, n in digits.items()),
        ]
        for row in rows
    ]
    headings = ("drawn by", "body SSIM", "body PSNR dB", "face SSIM", "face PSNR dB", "pose distance")
    display.table(headings, cells, title=f"{rows[0].frames} held-out frames", numbers=True)
