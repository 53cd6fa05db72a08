"""The 14 limbs that a wardrobe cuts and moves, and the layers that a reference is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton


class Limb(IntEnum):
    """A part of the body that moves as one piece. "Right" and "left" are the person's own."""

    TORSO = 0
    HEAD = 1
    RIGHT_UPPER_ARM = 2
    LEFT_UPPER_ARM = 3
    RIGHT_FOREARM = 4
    LEFT_FOREARM = 5
    RIGHT_HAND = 6
    LEFT_HAND = 7
    RIGHT_THIGH = 8
    LEFT_THIGH = 9
    RIGHT_SHIN = 10
    LEFT_SHIN = 11
    RIGHT_FOOT = 12
    LEFT_FOOT = 13


LIMB_COUNT: Final = len(Limb)


@dataclass(frozen=True, slots=True)
class Bone:
    """The line that a limb lies along.

    start, end: joints of `motion.skeleton`; a hand's end is its middle finger. radius: half the limb's width, in torso
    lengths. advantage: how much a pixel prefers this limb over others at the same relative distance; limbs nearer to
    the camera in most poses, such as forearms, have more.
    """

    start: int
    end: int
    radius: float
    advantage: float


_MIDDLE_KNUCKLE: Final = 9

BONES: Final = {
    Limb.TORSO: Bone(skeleton.NECK, skeleton.MID_HIP, 0.22, 0.0),
    Limb.HEAD: Bone(skeleton.NECK, skeleton.NOSE, 0.29, 0.0),
    Limb.RIGHT_UPPER_ARM: Bone(skeleton.R_SHOULDER, skeleton.R_ELBOW, 0.155, 0.2),
    Limb.LEFT_UPPER_ARM: Bone(skeleton.L_SHOULDER, skeleton.L_ELBOW, 0.155, 0.2),
    Limb.RIGHT_FOREARM: Bone(skeleton.R_ELBOW, skeleton.R_WRIST, 0.125, 0.35),
    Limb.LEFT_FOREARM: Bone(skeleton.L_ELBOW, skeleton.L_WRIST, 0.125, 0.35),
    Limb.RIGHT_HAND: Bone(skeleton.R_WRIST, skeleton.RIGHT_HAND.start + _MIDDLE_KNUCKLE, 0.14, 0.4),
    Limb.LEFT_HAND: Bone(skeleton.L_WRIST, skeleton.LEFT_HAND.start + _MIDDLE_KNUCKLE, 0.14, 0.4),
    Limb.RIGHT_THIGH: Bone(skeleton.R_HIP, skeleton.R_KNEE, 0.24, 0.0),
    Limb.LEFT_THIGH: Bone(skeleton.L_HIP, skeleton.L_KNEE, 0.24, 0.0),
    Limb.RIGHT_SHIN: Bone(skeleton.R_KNEE, skeleton.R_ANKLE, 0.17, 0.05),
    Limb.LEFT_SHIN: Bone(skeleton.L_KNEE, skeleton.L_ANKLE, 0.17, 0.05),
    Limb.RIGHT_FOOT: Bone(skeleton.R_ANKLE, skeleton.R_BIG_TOE, 0.15, 0.1),
    Limb.LEFT_FOOT: Bone(skeleton.L_ANKLE, skeleton.L_BIG_TOE, 0.15, 0.1),
}

HEELS: Final = {Limb.RIGHT_FOOT: skeleton.R_HEEL, Limb.LEFT_FOOT: skeleton.L_HEEL}
HANDS: Final = {Limb.RIGHT_HAND: skeleton.RIGHT_HAND, Limb.LEFT_HAND: skeleton.LEFT_HAND}
FOREARMS: Final = {Limb.RIGHT_HAND: Limb.RIGHT_FOREARM, Limb.LEFT_HAND: Limb.LEFT_FOREARM}
RIGHT_ARM: Final = (Limb.RIGHT_UPPER_ARM, Limb.RIGHT_FOREARM, Limb.RIGHT_HAND)
LEFT_ARM: Final = (Limb.LEFT_UPPER_ARM, Limb.LEFT_FOREARM, Limb.LEFT_HAND)
RIGHT_LEG: Final = (Limb.RIGHT_THIGH, Limb.RIGHT_SHIN, Limb.RIGHT_FOOT)
LEFT_LEG: Final = (Limb.LEFT_THIGH, Limb.LEFT_SHIN, Limb.LEFT_FOOT)

_JOINED: Final = (
    *((Limb.TORSO, limb) for limb in (Limb.HEAD, RIGHT_ARM[0], LEFT_ARM[0], RIGHT_LEG[0], LEFT_LEG[0])),
    (Limb.RIGHT_THIGH, Limb.LEFT_THIGH),
    *(pair for chain in (RIGHT_ARM, LEFT_ARM, RIGHT_LEG, LEFT_LEG) for pair in pairwise(chain)),
)


def _neighbours() -> NDArray[np.bool_]:
    joined = np.zeros((LIMB_COUNT, LIMB_COUNT), np.bool_)
    for first, second in _JOINED:
        joined[first, second] = joined[second, first] = True
    joined.setflags(write=False)
    return joined


NEIGHBOURS: Final = _neighbours()
"""`[14, 14]` bool: which limbs join each other, as a thigh and a shin do."""

UNDER_LAYERS: Final = (Limb.TORSO, Limb.RIGHT_THIGH, Limb.LEFT_THIGH)
"""Limbs drawn twice: first their middle from the key frame in which they are least hidden, then the best piece."""
LAYER_COUNT: Final = LIMB_COUNT + len(UNDER_LAYERS)
"""A piece's layer is its limb, or `LIMB_COUNT` plus its index in `UNDER_LAYERS`."""
