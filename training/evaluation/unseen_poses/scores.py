"""Scores of an actor in made-up poses: is the body found again where it was asked for?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from motion.frame import Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.backends import mediapipe_estimator
from training.evaluation.metrics import missed_joints, pose_distance, share
from training.evaluation.second_heads import second_heads

DrawPoses = Callable[[Sequence[Pose]], list[Picture]]
"""Draws consecutive poses, in pixels of the actor's picture, the first one on the empty picture."""


@dataclass(frozen=True, slots=True)
class UnseenScores:
    """The detector's results on the made-up poses.

    distance: mean `pose_distance` in torso lengths, None if no pose was found. missed: the share of the asked joints
    that are not found, in [0, 1]. second_heads: how many pictures show one, see `evaluation.second_heads`.
    each: the distance of every pose by name, None where it was not found.
    """

    poses: int
    found: int
    distance: float | None
    missed: float | None
    second_heads: int = 0
    each: dict[str, float | None] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The numbers by name, rounded for people."""
        numbers = {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}
        return numbers | {"each": {name: None if d is None else round(d, 3) for name, d in self.each.items()}}


def draw_unseen(draw: DrawPoses, poses: Mapping[str, Pose], check: Callable[[], None] = lambda: None) -> list[Picture]:
    """A picture of each pose, each drawn on the network's own picture of the same pose, as when a dancer stands still.

    check: called before each pose is drawn; it may raise.
    """
    drawn = []
    for pose in poses.values():
        check()
        drawn.append(draw([pose, pose])[-1])
    return drawn


def score_unseen(
    pictures: Sequence[Picture], poses: Mapping[str, Pose], place: Picture, in_film: float | None
) -> UnseenScores | None:
    """Run the detector on single pictures and compare with the poses asked for; None without poses.

    pictures: `[H, W, 3]` uint8 RGB, one for each pose, in whose pixels the poses are. place, in_film: see
    `second_heads`.
    """
    if not poses:
        return None
    with closing(mediapipe_estimator(PoseDetail.BODY, unrelated_pictures=True)) as estimator:
        found = [estimator.estimate(picture).dancer for picture in pictures]
    each = {
        name: None if other is None else pose_distance(pose, other)
        for (name, pose), other in zip(poses.items(), found, strict=True)
    }
    distances = [distance for distance in each.values() if distance is not None]
    return UnseenScores(
        poses=len(poses),
        found=sum(pose is not None for pose in found),
        distance=float(np.mean(distances)) if distances else None,
        missed=share(map(missed_joints, poses.values(), found)),
        second_heads=sum(second_heads(pictures, list(poses.values()), place, in_film)),
        each=each,
    )
