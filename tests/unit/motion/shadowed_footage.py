"""Pictures of a drawn person whose shadow is known."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.floor_shadow import STRENGTH_SIDE, Shadow, draw_shadow
from motion.pose import Pose
from tests.unit.motion.wardrobe.puppets import SIZE_PX, dancing, puppet

Filmed = tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]], list[Pose]]
FLOOR = 150
"""The wall ends and the floor begins in this row."""


def strength_below(row: int, value: int) -> NDArray[np.uint8]:
    """A shadow of this strength on the floor only."""
    strength = np.zeros((STRENGTH_SIDE, STRENGTH_SIDE), np.uint8)
    strength[row * STRENGTH_SIDE // SIZE_PX :] = value
    return strength


TRUE_SHADOW = Shadow(0.45, 0.2, 0.012, 0.0, strength_below(FLOOR, 120))


def moving_about(standing: Pose) -> list[Pose]:
    """Twelve poses at three places."""
    poses = []
    for step in range(12):
        pose = dancing(standing, (0.2 * step, -0.15 * step))
        poses.append(pose.transformed(1, 1, 20 * (step % 3) - 40, -4.0 * (step % 3)))
    return poses


def empty_place() -> NDArray[np.uint8]:
    """The place without the person, `[256, 256, 3]` uint8."""
    grain = np.random.default_rng(3).integers(90, 190, (SIZE_PX, SIZE_PX, 3), np.uint8)
    return np.asarray(cv2.GaussianBlur(grain, (0, 0), 2), np.uint8)


def filmed(poses: Sequence[Pose], shadow: Shadow | None) -> Filmed:
    """Pictures and masks of the puppet in this place, with or without a shadow."""
    random, place = np.random.default_rng(4), empty_place()
    pictures, masks = [], []
    for pose in poses:
        person, mask = puppet(pose)
        lit = place.astype(np.float64)
        if shadow is not None:
            lit *= 1 - draw_shadow(shadow, mask, pose)[..., None] / 255
        picture = np.where(mask[..., None] > 0, person, lit) + random.normal(0, 2, place.shape)
        pictures.append(np.clip(picture, 0, 255).astype(np.uint8))
        masks.append(mask)
    return pictures, masks, list(poses)
