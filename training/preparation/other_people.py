"""Search for other people: MediaPipe follows one person, so that person is painted over, and it looks again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import cv2
import numpy as np

from motion import skeleton
from motion.crop import resized
from motion.frame import Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.backends import mediapipe_estimator
from services.pose.estimator import PoseRules
from training.data.plate import Mask, grown

_RULES: Final = PoseRules(min_height_fraction=0.2)
_REACH: Final = 1 / 25
"""How far beyond the mask the person is painted over, as a fraction of the picture's height."""
_REDUCED: Final = 4
"""Masks are grown at this fraction of the size: the time grows with the reach squared."""
_FEWEST_JOINTS: Final = 8


def other_people(
    pictures: Sequence[Picture],
    masks: Sequence[Mask],
    plate: Picture,
    on_picture: Callable[[int], None] = lambda done: None,
) -> list[Pose | None]:
    """A second person's pose for each picture, None if there is no other person.

    pictures, plate: `[H, W, 3]` uint8 RGB. masks: `[H, W]` uint8, 255 on the known person, who is painted over with the
    plate. on_picture: called with the number done. People smaller than a fifth of the picture's height are not found,
    nor are those hidden by the person, or those who have become part of the plate.
    """
    found: list[Pose | None] = []
    with closing(mediapipe_estimator(PoseDetail.BODY, rules=_RULES, unrelated_pictures=True)) as estimator:
        for index, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
            height_px, width_px = picture.shape[:2]
            small = resized(mask, -(-width_px // _REDUCED), -(-height_px // _REDUCED))
            share = resized(grown(small, _REACH * small.shape[0]), width_px, height_px)
            soft = cv2.blur(share, (9, 9))[..., None].astype(np.float32) / 255
            empty = np.rint(picture + (plate.astype(np.float32) - picture) * soft).astype(np.uint8)
            other = estimator.estimate(empty).dancer
            if other is not None and _is_painted_over(other, share):
                other = None
            found.append(other)
            on_picture(index + 1)
    return found


def _is_painted_over(pose: Pose, share: Mask) -> bool:
    """Whether a pose lies where the person was: it is a remainder of that person, or a shadow."""
    joints_px = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    if len(joints_px) < _FEWEST_JOINTS:
        return True
    columns, rows = np.clip(joints_px.astype(int), 0, [share.shape[1] - 1, share.shape[0] - 1]).T
    return bool((share[rows, columns] > 0).mean() > 0.5)
