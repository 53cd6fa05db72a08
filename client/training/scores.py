"""An actor's scores in rows for people, next to the baselines that it must beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from client.terminal.display import Display

_DRAWN_BY: Final = {
    "held_out": ("the actor", "pose_distance", "unseen_poses", "flicker"),
    "nearest_training_frame": ("nearest training frame", "", "", ""),
    "grey_figure": ("grey figure", "", "", ""),
    "": ("the footage itself", "pose_distance_floor", "", ""),
}
"""By the group of its picture scores: the row's name, and the groups of its poses, made-up poses and flicker.

The footage itself has no picture scores; detecting its poses again measures the noise floor of the detector.
"""
_COLUMNS: Final = (
    ("sharpness", 0, "sharpness", 2),
    ("body SSIM", 0, "body_ssim", 3),
    ("face SSIM", 0, "face_ssim", 3),
    ("pose distance", 1, "distance", 3),
    ("in unseen poses", 2, "distance", 3),
    ("flicker / film", 3, "ratio", 2),
)
"""The heading of each column, the place of its group in a row, its score there, and its digits."""


def show_scores(scores: Mapping[str, Any], display: Display) -> None:
    """Show `Actor.scores` as training stores them: the actor, both baselines, and the floor of the poses.

    Sharpness: 1 is as sharp as the film. SSIM: 1 is the same picture. Pose distance: in torso lengths, lower is better;
    also in made-up poses that the footage lacks. Flicker: 1 is as steady as the film.
    `scores` is a free-form record of an actor: what it lacks has no row, or an empty cell.
    """
    rows, frames = [], 0
    for key, (drawn_by, *others) in _DRAWN_BY.items():
        groups = [scores.get(group) or {} for group in (key, *others)]
        if any(groups):
            frames = frames or groups[0].get("frames", groups[1].get("frames", 0))
            values = [(groups[place].get(name), digits) for _, place, name, digits in _COLUMNS]
            rows.append([drawn_by, *("" if value is None else f"{value:.{digits}f}" for value, digits in values)])
    if rows:
        headings = ("drawn by", *(heading for heading, *_ in _COLUMNS))
        title = "1 held-out frame" if frames == 1 else f"{frames} held-out frames"
        display.table(headings, rows, title=title, names=1)
