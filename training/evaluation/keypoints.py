"""Distances between the joints that were asked for and those that a detector finds in the drawn pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.backends import mediapipe_estimator

_SMALL_TOES: Final = (skeleton.L_SMALL_TOE, skeleton.R_SMALL_TOE)
_JOINTS: Final = np.arange(skeleton.JOINT_COUNT)

PARTS: Final[dict[str, NDArray[np.int_]]] = {
    "body": np.array([j for j in range(skeleton.BODY_COUNT) if j not in _SMALL_TOES]),
    "face": _JOINTS[skeleton.FACE],
    "hands": np.concatenate([_JOINTS[skeleton.LEFT_HAND], _JOINTS[skeleton.RIGHT_HAND]]),
    "overall": np.array([j for j in range(skeleton.JOINT_COUNT) if j not in _SMALL_TOES]),
}
"""The joints of each part: the body's 23 (BODY_25 without the small toes), the face's 70, 21 of each hand, all 135.

Source: Chan et al. 2019, "Everybody Dance Now", its table of pose distances.
"""


FEW_JOINTS: Final = (
    "fewer than half of the joints asked for were found and compared: a detector first finds the joints that are drawn "
    "well, so this mean says little about the others, and cannot be compared with one over more joints"
)
"""The footnote of a marked distance. Below half, most of the joints asked for are not in the mean."""


@dataclass(frozen=True, slots=True)
class PartScore:
    """The score of one part.

    distance_px: mean over all joints found in both, None without one. missed: joints per frame that were asked for and
    not found. joints, asked, frames: the numbers of joints compared, of joints asked for, and of frames with any.
    """

    distance_px: float | None
    missed: float
    joints: int
    asked: int
    frames: int

    @property
    def rests_on_few(self) -> bool:
        """Whether there is a distance over fewer than half of the joints asked for; see `FEW_JOINTS`."""
        return self.distance_px is not None and 2 * self.joints < self.asked


def detected(runs: Iterable[Iterable[Picture]]) -> list[list[Pose | None]]:
    """Detect poses, with face and hands, in runs of consecutive pictures, `[H, W, 3]` uint8 RGB; a tracker per run."""
    found = []
    for pictures in runs:
        with closing(mediapipe_estimator(PoseDetail.HOLISTIC)) as estimator:
            found.append([estimator.estimate(picture).dancer for picture in pictures])
    return found


def part_scores(asked: Sequence[Pose], found: Sequence[Pose | None]) -> dict[str, PartScore]:
    """Compare poses, in pixels of the same pictures, part by part; see `PARTS`.

    Raises ValueError for no poses, or sequences of different lengths.
    """
    if not asked or len(asked) != len(found):
        raise ValueError(f"cannot compare {len(asked)} asked poses with {len(found)} found ones")
    scores = {}
    for name, joints in PARTS.items():
        distances_px: list[NDArray[np.float64]] = []
        missed = wanted_count = frames = 0
        for one, other in zip(asked, found, strict=True):
            wanted = one.seen[joints]
            there = np.zeros_like(wanted) if other is None else other.seen[joints]
            missed += int((wanted & ~there).sum())
            wanted_count += int(wanted.sum())
            frames += bool((wanted & there).any())
            if other is not None:
                offsets_px = (one.joints_px - other.joints_px)[joints][wanted & there]
                distances_px.append(np.linalg.norm(offsets_px.astype(np.float64), axis=1))
        all_px = np.concatenate(distances_px) if distances_px else np.zeros(0)
        distance_px = float(all_px.mean()) if len(all_px) else None
        scores[name] = PartScore(distance_px, missed / len(asked), len(all_px), wanted_count, frames)
    return scores
