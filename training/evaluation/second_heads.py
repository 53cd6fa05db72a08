"""Second heads: does a drawn picture show the dancer's head in a second place?

Networks that have never seen a raised arm draw a head at its end. It has no face for a detector to find, so this looks
for the place that resembles the drawn head most, and compares with how much any place of the real frames does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.crop import resized
from motion.frame import Picture
from motion.pose import Pose

_HEAD: Final = (skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR)
_RADIUS: Final = 0.3
_ABOVE_EARS: Final = 0.08
"""A head with its hair: its radius, and how far its middle is above the eyes and ears, in torso lengths."""
_RADIUS_PX: Final = 15
"""Heads are compared at this size."""
_REACH: Final = 2.0
"""A second head is at least this many radii from the first."""
_TORSO_WIDTH: Final = 1.0
"""Of the torso with the clothes around it, in torso lengths: no second head is sought there, since a blurred head takes
on the colours of the shirt."""
_PERSON_LEVELS: Final = 24
"""A pixel shows the person if it differs this much from the place, in levels of 255."""
_MOSTLY: Final = 0.75
"""A second head shows at least this share of the person's pixels that the first one shows."""
_CLOSER: Final = 0.7
"""A second head is this much closer to the first than any place of the real frames is."""

_IN_A_FILM: Final = 29.0
"""The least difference in the film of a man in a grey shirt; for films in which nothing is as large as a head."""


def head_elsewhere(picture: Picture, pose: Pose, place: Picture) -> float | None:
    """How little the place that resembles the drawn head most differs from it: RMS over the head, in levels of CIELAB.

    picture, place: `[H, W, 3]` uint8 RGB, with the person and without. pose: the asked one, in the picture's pixels.
    None if the pose has no head or torso, the head is at the picture's edge, or nothing else is large enough.
    """
    neck_px, hips_px = pose.joint(skeleton.NECK), pose.joint(skeleton.MID_HIP)
    seen = [joint for joint in _HEAD if pose.seen[joint]]
    if neck_px is None or hips_px is None or not seen:
        return None
    torso_px = float(np.linalg.norm(neck_px - hips_px))
    if torso_px < 1:
        return None
    scale = _RADIUS_PX / (_RADIUS * torso_px)
    width_px, height_px = (max(1, round(side * scale)) for side in (picture.shape[1], picture.shape[0]))
    picture, place = resized(picture, width_px, height_px), resized(place, width_px, height_px)
    up = (neck_px - hips_px) / torso_px
    x, y = np.round((pose.joints_px[seen].mean(axis=0) + up * _ABOVE_EARS * torso_px) * scale).astype(int)
    if not (_RADIUS_PX <= x < width_px - _RADIUS_PX and _RADIUS_PX <= y < height_px - _RADIUS_PX):
        return None
    around = np.s_[y - _RADIUS_PX : y + _RADIUS_PX + 1, x - _RADIUS_PX : x + _RADIUS_PX + 1]
    person = (np.abs(picture.astype(np.int16) - place).max(axis=2) > _PERSON_LEVELS).astype(np.float32)
    disc = np.zeros(person[around].shape, np.float32)
    cv2.circle(disc, (_RADIUS_PX, _RADIUS_PX), _RADIUS_PX, (1.0,), -1)
    counted = disc * person[around]
    if not counted.any():
        return None
    colours = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    mask = np.ascontiguousarray(np.repeat(counted[..., None], 3, axis=2))
    squares = cv2.matchTemplate(colours, colours[around], cv2.TM_SQDIFF, mask=mask)
    share = cv2.matchTemplate(person, counted, cv2.TM_CCORR) / counted.sum()
    elsewhere = _elsewhere(squares.shape, (x, y), neck_px * scale, hips_px * scale) & (share >= _MOSTLY)
    if not elsewhere.any():
        return None
    return float(np.sqrt(max(float(squares[elsewhere].min()), 0.0) / mask.sum()))


def second_heads(
    pictures: Sequence[Picture], poses: Sequence[Pose], place: Picture, in_film: float | None
) -> list[bool]:
    """Whether each drawn picture shows a second head; arguments as in `head_elsewhere`.

    in_film: the least `head_elsewhere` of the real frames; None: nothing in them is as large as a head.
    """
    each = [head_elsewhere(picture, pose, place) for picture, pose in zip(pictures, poses, strict=True)]
    limit = _CLOSER * (_IN_A_FILM if in_film is None else in_film)
    return [other is not None and other < limit for other in each]


def least_in_film(pictures: Sequence[Picture], poses: Sequence[Pose], place: Picture) -> float | None:
    """The least `head_elsewhere` of the real frames; None if none has any."""
    each = [head_elsewhere(picture, pose, place) for picture, pose in zip(pictures, poses, strict=True)]
    return min((other for other in each if other is not None), default=None)


def _elsewhere(
    shape: Sequence[int], head_px: tuple[int, int], neck_px: NDArray[np.float32], hips_px: NDArray[np.float32]
) -> NDArray[np.bool_]:
    """Corners of a template whose middle is neither near the head nor in the torso."""
    free = np.ones((shape[0] + 2 * _RADIUS_PX, shape[1] + 2 * _RADIUS_PX), np.uint8)
    ends = [tuple(round(float(value)) for value in end_px) for end_px in (neck_px, hips_px)]
    cv2.line(free, ends[0], ends[1], (0,), max(1, round(_TORSO_WIDTH * _RADIUS_PX / _RADIUS)))
    cv2.circle(free, head_px, round(_REACH * _RADIUS_PX), (0,), -1)
    return np.asarray(free[_RADIUS_PX : _RADIUS_PX + shape[0], _RADIUS_PX : _RADIUS_PX + shape[1]] > 0)
