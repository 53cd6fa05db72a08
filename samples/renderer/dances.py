"""The dances: the source's clips, and the actor's footage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from samples.renderer.choreography import ARMS, STANCES, ArmPose, Dance, KeyPose, key_pose
from samples.renderer.geometry import unit


def _written(rows: Sequence[tuple[str, str, str, float, float, float]]) -> tuple[KeyPose, ...]:
    """Convert rows of left arm, right arm, stance, x, z, turn; the head turns half-way back to the camera."""
    return tuple(
        key_pose(ARMS[left], ARMS[right], STANCES[stance], x, z, turn_deg, -0.5 * turn_deg)
        for left, right, stance, x, z, turn_deg in rows
    )


SOURCE_DANCE = Dance(
    _written(
        [
            ("down", "down", "close", 0.0, 0.0, 0),
            ("side", "side", "apart", 0.0, 0.0, 0),
            ("up", "up", "apart", 0.0, 0.0, 0),
            ("cactus", "cactus", "squat", 0.0, 0.1, 0),
            ("up", "hip", "left lunge", 0.05, 0.2, 12),
            ("hip", "up", "right lunge", -0.05, 0.2, -12),
            ("cross", "cross", "bend", 0.0, 0.3, 0),
            ("wide", "low", "right knee", 0.15, 0.1, 25),
            ("side", "side", "apart", 0.22, -0.2, 40),
            ("wave", "down", "left step", 0.05, -0.35, 10),
            ("crown", "hip", "apart", -0.2, -0.2, -25),
            ("flex", "wave", "left knee", -0.25, -0.1, -40),
            ("wide", "wide", "squat", -0.1, 0.1, 0),
        ]
    ),
    beat_seconds=6.0 / 13,
)
"""Six seconds: the sample clip, which loops."""

WAVES_DANCE: Final = Dance(
    _written(
        [
            ("down", "down", "close", 0.0, 0.0, 0),
            ("low", "low", "apart", 0.0, 0.0, 0),
            ("side", "low", "apart", 0.06, 0.0, 8),
            ("wide", "side", "apart", 0.10, 0.0, 8),
            ("up", "wide", "bend", 0.0, 0.05, 0),
            ("crown", "crown", "squat", 0.0, 0.1, 0),
            ("wide", "up", "apart", -0.06, 0.0, -8),
            ("side", "wide", "apart", -0.10, 0.0, -8),
            ("cross", "cross", "bend", 0.0, 0.1, 0),
            ("flex", "flex", "apart", 0.0, 0.0, 0),
        ]
    ),
    beat_seconds=0.5,
)
"""Five seconds in one place, led by the arms; loops."""

TURNS_DANCE: Final = Dance(
    _written(
        [
            ("side", "side", "apart", 0.0, 0.0, 0),
            ("hip", "up", "left step", 0.1, 0.0, 45),
            ("ahead", "behind", "left step", 0.1, 0.0, 90),
            ("wide", "wide", "apart", 0.0, 0.1, 45),
            ("cactus", "cactus", "bend", 0.0, 0.1, 0),
            ("up", "hip", "right step", -0.1, 0.0, -45),
            ("behind", "ahead", "right step", -0.1, 0.0, -90),
            ("reach", "ahead", "apart", 0.0, 0.0, -80),
            ("wave", "side", "left knee", 0.0, 0.0, -40),
            ("flex", "wave", "bend", 0.0, 0.0, 0),
        ]
    ),
    beat_seconds=0.6,
)
"""Six seconds, to both sides; loops."""

SOURCE_DANCES: Final = {"steps": SOURCE_DANCE, "waves": WAVES_DANCE, "turns": TURNS_DANCE}
"""The source's dances by name."""

_FACING_THE_CAMERA: Final = (
    ("down", "down", "close", 0.0, 0.0, 0, ""),
    ("side", "side", "apart", 0.0, 0.0, 0, ""),
    ("up", "up", "apart", 0.0, 0.1, 0, ""),
    ("wide", "low", "bend", 0.1, 0.2, -10, "l"),
    ("cactus", "cactus", "squat", 0.0, 0.3, 0, ""),
    ("hip", "crown", "left lunge", 0.1, 0.2, 15, ""),
    ("crown", "hip", "right lunge", -0.1, 0.2, -15, ""),
    ("flex", "flex", "apart", -0.1, 0.0, 0, "lr"),
    ("cross", "wave", "bend", -0.2, -0.1, 10, ""),
    ("wave", "cross", "left knee", -0.24, -0.2, -20, "r"),
    ("front", "side", "right step", -0.2, -0.3, -30, "l"),
    ("side", "front", "left step", 0.0, -0.36, 30, "r"),
    ("low", "low", "squat", 0.2, -0.2, 0, "lr"),
    ("wide", "wide", "right knee", 0.2, 0.0, 20, ""),
)
"""Left arm, right arm, stance, x, z, turn, fists."""

_ALL_AROUND: Final = (
    ("side", "up", "apart", 0.2, 0.0, 45, -20, ""),
    ("down", "down", "close", 0.1, 0.0, 90, 0, ""),
    ("ahead", "behind", "left step", 0.1, 0.0, 90, -45, ""),
    ("reach", "ahead", "apart", 0.0, 0.0, 90, 0, "l"),
    ("low", "wide", "apart", 0.0, 0.0, 135, 10, ""),
    ("down", "down", "close", 0.0, 0.0, 180, 0, ""),
    ("side", "side", "apart", 0.0, 0.0, 180, 50, ""),
    ("up", "up", "apart", 0.0, -0.1, 180, 0, ""),
    ("wide", "hip", "left lunge", 0.0, -0.1, 180, -50, "l"),
    ("low", "flex", "apart", 0.0, 0.0, 120, -20, "r"),
    ("wide", "side", "bend", 0.0, 0.1, 45, -30, ""),
    ("cactus", "down", "apart", 0.0, 0.1, -20, 10, ""),
    ("low", "low", "close", 0.0, 0.1, -65, 20, ""),
    ("down", "down", "close", 0.0, 0.0, -90, 0, ""),
    ("behind", "ahead", "right step", 0.0, 0.0, -90, 45, ""),
    ("ahead", "reach", "apart", 0.0, 0.0, -90, 0, "r"),
    ("up", "side", "apart", -0.1, 0.0, -45, 20, ""),
)
"""The same with the head's turn before the fists: to both sides and the back, with stops and looks to the camera."""


def _filmed() -> tuple[KeyPose, ...]:
    """Return what `docs/training.md` asks a person to film: facing the camera, then all around, then dancing freely."""
    front = (
        key_pose(ARMS[left], ARMS[right], STANCES[stance], x, z, turn_deg, -0.5 * turn_deg, fists)
        for left, right, stance, x, z, turn_deg, fists in _FACING_THE_CAMERA
    )
    around = (
        key_pose(ARMS[left], ARMS[right], STANCES[stance], x, z, turn_deg, head_turn_deg, fists)
        for left, right, stance, x, z, turn_deg, head_turn_deg, fists in _ALL_AROUND
    )
    return (*front, *around, *_improvised(9, seed=5))


def _improvised(count: int, seed: int) -> tuple[KeyPose, ...]:
    """Return `count` random key poses of all arms and stances, with randomly varied arms and fists."""
    random = np.random.default_rng(seed)
    arms, stances = list(ARMS), list(STANCES)
    poses: list[KeyPose] = []
    left = right = "down"
    x = z = 0.0
    for _ in range(count):
        left = str(random.choice([name for name in arms if name != left]))
        # About half of the poses are symmetric, as in real dances.
        right = left if random.random() < 0.45 else str(random.choice([name for name in arms if name != right]))
        stance = STANCES[str(random.choice(stances))]
        x = float(np.clip(x + random.uniform(-0.25, 0.25), -0.25, 0.25))
        z = float(np.clip(z + random.uniform(-0.30, 0.30), -0.38, 0.33))
        turn_deg = float(random.choice([0.0, 1.0], p=[0.4, 0.6]) * random.uniform(-42, 42))
        shaken = [
            ArmPose(
                unit(ARMS[name].upper + random.normal(0, 0.10, 3)), unit(ARMS[name].fore + random.normal(0, 0.10, 3))
            )
            for name in (left, right)
        ]
        head_turn_deg = -0.5 * turn_deg + float(random.uniform(-8, 8))
        pose = key_pose(shaken[0], shaken[1], stance, x, z, turn_deg, head_turn_deg)
        fists = (random.random(2) < 0.3).astype(float).tolist()
        poses.append(replace(pose, left_fist=fists[0], right_fist=fists[1]))
    return tuple(poses)


ACTOR_DANCE = Dance(_filmed(), beat_seconds=0.5)
"""Twenty seconds of training footage."""
