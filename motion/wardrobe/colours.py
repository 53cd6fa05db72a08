"""The usual colours of each limb, which separate limbs that touch: a hand before a shirt, a hem above trousers.

Collected over all key frames from the middle of each limb, where no other limb is near. Distances alone cannot follow a
hem or the outline of an arm before the chest; colours alone cannot separate a left leg from a right one. Cutting uses
both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.wardrobe.limbs import LIMB_COUNT, Limb

_LEVELS: Final = 16
"""Bins of each of red, green and blue."""
_SMOOTHING: Final = np.array([0.25, 0.5, 0.25], np.float32)
_RARE: Final = 1e-3
"""The share of a limb's pixels below which a colour is as good as unknown."""
_FULL_COST: Final = 3.0
"""A colour that is e^3 times as frequent in another limb cannot be this limb's."""
_BLUR_PX: Final = 1.5
"""Single pixels of another colour, as in a seam of a shirt, change nothing."""
_FEWEST_PIXELS: Final = 50

ALIKE: Final = (
    (Limb.TORSO,),
    (Limb.HEAD,),
    (Limb.RIGHT_UPPER_ARM, Limb.LEFT_UPPER_ARM),
    (Limb.RIGHT_FOREARM, Limb.LEFT_FOREARM),
    (Limb.RIGHT_HAND, Limb.LEFT_HAND),
    (Limb.RIGHT_THIGH, Limb.LEFT_THIGH),
    (Limb.RIGHT_SHIN, Limb.LEFT_SHIN),
    (Limb.RIGHT_FOOT, Limb.LEFT_FOOT),
)
"""Limbs that have the same colours."""


def colour_costs(samples: Iterable[tuple[Limb, NDArray[np.uint8]]]) -> NDArray[np.float32]:
    """Learn how little each colour suits each limb, as costs in [0, 1]: `[16, 16, 16, LIMB_COUNT]`.

    samples: pixels of limbs, `[P, 3]` uint8 RGB. A colour that no limb has, or that all have, costs none of them
    anything, and so does every colour for a limb without samples.
    """
    counts = np.zeros((len(ALIKE), _LEVELS**3))
    group_of = {limb: group for group, limbs in enumerate(ALIKE) for limb in limbs}
    for limb, pixels in samples:
        counts[group_of[limb]] += np.bincount(_bins(np.asarray(pixels, np.uint8)), minlength=_LEVELS**3)
    totals = counts.sum(axis=1, keepdims=True)
    shares = (counts / np.maximum(totals, 1)).reshape(-1, _LEVELS, _LEVELS, _LEVELS).astype(np.float32)
    for axis in (1, 2, 3):
        shares = _smoothed(shares, axis)
    usual = shares + _RARE
    costs = np.clip(np.log(usual.max(axis=0) / usual) / _FULL_COST, 0, 1)
    costs[totals[:, 0] < _FEWEST_PIXELS] = 0
    by_limb = np.stack([costs[group_of[limb]] for limb in Limb], axis=-1)
    return np.ascontiguousarray(by_limb, np.float32)


def costs_of(picture: Picture, costs: NDArray[np.float32]) -> NDArray[np.float32]:
    """The cost of every pixel of `[h, w, 3]` uint8 RGB for every limb, `[LIMB_COUNT, h, w]`."""
    bins = _bins(picture.reshape(-1, 3))
    found = np.empty((LIMB_COUNT, *picture.shape[:2]), np.float32)
    for limbs in ALIKE:
        cost = costs.reshape(-1, LIMB_COUNT)[:, limbs[0]][bins].reshape(picture.shape[:2])
        found[list(limbs)] = cv2.GaussianBlur(cost, (0, 0), _BLUR_PX)
    return found


def _bins(pixels: NDArray[Any]) -> NDArray[np.intp]:
    red, green, blue = (pixels // (256 // _LEVELS)).astype(np.intp).T
    return np.asarray((red * _LEVELS + green) * _LEVELS + blue)


def _smoothed(shares: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Blur along one axis, so that a colour also counts for similar ones."""
    padded = np.concatenate([shares.take([0], axis), shares, shares.take([-1], axis)], axis)
    parts = [padded.take(range(start, start + _LEVELS), axis) for start in range(len(_SMOOTHING))]
    return np.asarray(sum(weight * part for weight, part in zip(_SMOOTHING, parts, strict=True)), np.float32)
