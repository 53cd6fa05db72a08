"""Is somebody else in the picture? MediaPipe follows one person; so that one is painted over, and it looks again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.estimator import PoseEstimator, PoseRules
from training.data.plate import grown
from training.preparation.detections import Mask

_RULES: Final = PoseRules(min_height_fraction=0.2)
_REACH: Final = 1 / 25
"""Of the picture's height: how far beyond the mask the person is painted over."""
_FEWEST_JOINTS: Final = 8


def somebody_else(
    pictures: Sequence[Picture],
    masks: Sequence[Mask],
    plate: Picture,
    on_picture: Callable[[int], None] = lambda done: None,
) -> list[Pose | None]:
    """For each picture a second person's pose, None where nobody else was found.

    pictures, plate: `[H, W, 3]` uint8 RGB. masks: `[H, W]` uint8, 255 on the person who is known, and who is painted
    over with the plate. on_picture: told how many are done. People smaller than a fifth of the picture's height are
    not found, nor is who is hidden by the person, or has become part of the plate.
    """
    found: list[Pose | None] = []
    with PoseEstimator(PoseDetail.BODY, rules=_RULES, unrelated_pictures=True) as estimator:
        for index, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
            share = grown(mask, _REACH * picture.shape[0])
            soft = cv2.blur(share, (9, 9))[..., None].astype(np.float32) / 255
            empty = np.rint(picture + (plate.astype(np.float32) - picture) * soft).astype(np.uint8)
            other = estimator.estimate(empty).dancer
            if other is not None and _is_painted_over(other, share):
                other = None
            found.append(other)
            on_picture(index + 1)
    return found


def _is_painted_over(pose: Pose, share: Mask) -> bool:
    """Whether a pose lies where the person was: the rest of that person, or of a shadow."""
    joints_px = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    if len(joints_px) < _FEWEST_JOINTS:
        return True
    columns, rows = np.clip(joints_px.astype(int), 0, [share.shape[1] - 1, share.shape[0] - 1]).T
    return bool((share[rows, columns] > 0).mean() > 0.5)
