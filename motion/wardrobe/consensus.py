"""What a limb usually looks like over all key frames, in colour and shape: takes trousers off hands, shirts off arms.

A limb's cut contains pixels of others wherever they touch. Those differ from frame to frame, the limb's own do not.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.wardrobe.cutting import Cut, Weights
from motion.wardrobe.limbs import HANDS, HEELS, Limb
from motion.wardrobe.moving import along_bone
from motion.wardrobe.placing import Floats, PlacedBody

_HEIGHT_PX, _WIDTH_PX = 40, 48
"""The size of the small picture in which the frames are compared; the bone lies along its middle row."""
_BONE_PX: Final = np.array([[8.0, 20.0], [40.0, 20.0]])
_BONE_LENGTH, _END_LENGTH = 0.55, 0.35
"""What the bone's 32 pixels stand for across the limb, in torso lengths; the second for hands and feet."""
_SHORTEST_PX: Final = 4.0
_FEWEST_FRAMES: Final = 8
"""With fewer frames nothing is usual."""
_LEVELS: Final = 75.0
"""Of 255: pixels that differ by more from the usual colour are another limb's; shadow and light differ by less."""
_SOFT_LEVELS: Final = 25.0
"""Over this range around it, a pixel counts less and less."""
_COMMON_FROM, _COMMON_TO = 0.15, 0.3
"""The share of frames that must agree with a colour at a place, although it is not the usual one, and to keep it in
full: stripes and creases of a sleeve are not at one place of the limb in every frame."""
_USUAL_FROM, _USUAL_TO = 0.25, 0.55
"""The share of frames in which a place must belong to the limb to count, and to count in full."""


def agreements(limb: Limb, frames: Sequence[tuple[Picture, PlacedBody, dict[Limb, Cut]]]) -> list[Weights | None]:
    """How well each pixel of a limb's cut agrees with what its place usually shows, `[h, w]` in [0, 1] for each frame.

    frames: pictures, `[H, W, 3]` uint8, with the bodies and cuts in them. None where there is no cut to compare, and
    everywhere for the torso and the head, which differ from side to side.
    """
    if limb in (Limb.TORSO, Limb.HEAD):
        return [None] * len(frames)
    moves = [_to_small(limb, body) if limb in cuts else None for _, body, cuts in frames]
    colours, weights = [], []
    for (picture, _, cuts), move in zip(frames, moves, strict=True):
        if move is not None:
            colours.append(_small(picture[cuts[limb].box.slices], move, cuts[limb]))
            weights.append(_small(cuts[limb].weights, move, cuts[limb]))
    if len(colours) < _FEWEST_FRAMES:
        return [None] * len(frames)
    usual, share = _usual(np.stack(colours).astype(np.float32), np.stack(weights))
    if limb in HANDS:
        usual, share = _of_skin(usual, share)
    common = iter(_common(np.stack(colours), np.stack(weights)) if limb not in HANDS else [None] * len(colours))
    return [
        None
        if move is None
        else _agreement(picture[cuts[limb].box.slices], cuts[limb], move, usual, share, next(common))
        for (picture, _, cuts), move in zip(frames, moves, strict=True)
    ]


def _common(colours: Picture, weights: Weights) -> NDArray[np.float32]:
    """How common each place's colour is among the frames, `[n, h, w]` in [0, 1]: 1 from `_COMMON_TO` of them on."""
    shown = weights > 0.5
    channels = np.ascontiguousarray(np.moveaxis(colours, -1, 0))
    common = np.zeros(weights.shape, np.float32)
    for index in range(len(colours)):
        red, green, blue = (cv2.absdiff(c, np.broadcast_to(c[index], c.shape).copy()) for c in channels)
        alike = (np.maximum(np.maximum(red, green), blue) < _LEVELS) & shown
        common[index] = np.count_nonzero(alike, axis=0)
    common /= np.maximum(np.count_nonzero(shown, axis=0), 1)
    return np.clip((common - _COMMON_FROM) / (_COMMON_TO - _COMMON_FROM), 0, 1)


def _usual(colours: NDArray[np.float32], weights: Weights) -> tuple[NDArray[np.float32], Weights]:
    """The median colour of every place, `[h, w, 3]`, -1 where none is known, and how usual the place is, `[h, w]`."""
    colours[weights < 0.5] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a place that no frame shows has no median
        median = np.nan_to_num(np.nanmedian(colours, axis=0), nan=-1).astype(np.float32)
    share = (weights > 0.4).mean(axis=0).astype(np.float32)
    return median, np.clip((share - _USUAL_FROM) / (_USUAL_TO - _USUAL_FROM), 0, 1)


def _of_skin(usual: NDArray[np.float32], share: Weights) -> tuple[NDArray[np.float32], Weights]:
    """Fingers are at other places in every frame: the palm's colour is the usual one there, and every place counts."""
    palm = share >= 1
    if not palm.any():
        return usual, share
    return np.where((share < 0.5)[..., None], np.median(usual[palm], axis=0), usual), np.ones_like(share)


def _agreement(
    pixels: Picture, cut: Cut, move: Floats, usual: NDArray[np.float32], share: Weights, common: Weights | None
) -> Weights:
    height, width = cut.weights.shape
    back = cv2.invertAffineTransform(_in_pixels(move, cut))
    expected = cv2.warpAffine(usual, back, (width, height), flags=cv2.INTER_LINEAR, borderValue=(-1, -1, -1))
    expected_share = cv2.warpAffine(share, back, (width, height))
    difference = np.abs(pixels.astype(np.float32) - expected).max(axis=2)
    agreement = np.clip((_LEVELS - difference) / _SOFT_LEVELS + 0.5, 0, 1)
    agreement[expected.min(axis=2) < 0] = 0
    if common is not None:
        agreement = np.maximum(agreement, cv2.warpAffine(common, back, (width, height)))
    return np.asarray(np.clip(cv2.GaussianBlur(agreement * expected_share, (0, 0), 0.8) * 1.3, 0, 1), np.float32)


def _to_small(limb: Limb, body: PlacedBody) -> Floats | None:
    start, end = body.ends_px[limb]
    if math.hypot(*(end - start)) < _SHORTEST_PX:
        return None
    length = _END_LENGTH if limb in HANDS or limb in HEELS else _BONE_LENGTH
    return along_bone(body.ends_px[limb], _BONE_PX, 32.0 / (length * body.scale_px))


def _small(pixels: NDArray[Any], move: Floats, cut: Cut) -> NDArray[Any]:
    return cv2.warpAffine(pixels, _in_pixels(move, cut), (_WIDTH_PX, _HEIGHT_PX))


def _in_pixels(move: Floats, cut: Cut) -> Floats:
    """The move for OpenCV: from indices of the cut's pixels, whose positions are half a pixel more."""
    shifted = move.copy()
    shifted[:, 2] += move[:, :2] @ (cut.box.left + 0.5, cut.box.top + 0.5) - 0.5
    return shifted
