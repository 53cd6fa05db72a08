"""Sharpness: the gradients of drawn pictures beside those of real ones. It falls with blur, which SSIM rewards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose
from training.data.figure import draw_figure

_PERSON: Final = 127
"""A mask counts as the person above this value."""
_SLIM: Final = (0.10, 0.36, 0.16)
"""Limbs, torso and head in torso lengths: well inside a person, so that the place's gradients do not count."""


def gradient(picture: Picture) -> NDArray[np.float32]:
    """The length of the Sobel gradient (3x3) of each pixel's brightness, `[H, W]` float32.

    picture: `[H, W, 3]` uint8 RGB.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    across, down = (cv2.Sobel(grey, cv2.CV_32F, x, y, ksize=3) for x, y in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)


def sharpness(drawn: Picture, real: Picture, mask: NDArray[np.uint8] | None = None) -> float | None:
    """The mean gradient of a drawn picture over that of the real one: 1 is as sharp, below 1 is blurred.

    drawn, real: `[H, W, 3]` uint8 RGB. mask: `[H, W]` uint8, only pixels above 127 count; None: all do. None if no
    pixel counts or the real picture is flat there.
    """
    inside = np.ones(real.shape[:2], bool) if mask is None else np.asarray(mask) > _PERSON
    there = float(gradient(real)[inside].mean()) if inside.any() else 0.0
    return float(gradient(drawn)[inside].mean()) / there if there > 0 else None


def inner_gradient(pictures: Iterable[Picture], poses: Iterable[Pose]) -> float | None:
    """The mean gradient well inside the person, over pictures whose real counterpart is unknown.

    The pixels that count follow from the poses alone, in the pictures' pixels, so that a transfer and the actor's real
    frames are measured in the same way. None if no pose shows a torso.
    """
    means = []
    for picture, pose in zip(pictures, poses, strict=True):
        inside = figure_mask(pose, picture.shape[1], picture.shape[0], _SLIM) > _PERSON
        if inside.any():
            means.append(float(gradient(picture)[inside].mean()))
    return float(np.mean(means)) if means else None


def figure_mask(pose: Pose, width_px: int, height_px: int, sizes: tuple[float, float, float]) -> NDArray[np.uint8]:
    """A person drawn thickly around the joints, `[H, W]` uint8: 255 inside; empty without neck or hips.

    sizes: the limbs' width, the torso's width and the head's radius, in torso lengths.
    """
    mask = np.zeros((height_px, width_px), np.uint8)
    neck_px, hips_px = pose.joint(skeleton.NECK), pose.joint(skeleton.MID_HIP)
    if neck_px is not None and hips_px is not None:
        draw_figure(mask, pose, (255,), float(np.linalg.norm(neck_px - hips_px)), sizes)
    return mask
