"""Key poses, and what happens between them; independent of the dancer's body.

All lengths are in leg lengths (hip to ankle) of the dancer. So a key pose fits any body, and longer legs take longer
steps: this scales root motion from one person to another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from samples.renderer.geometry import Vector, unit, vector


@dataclass(frozen=True, slots=True, eq=False)
class ArmPose:
    """Directions of upper arm and forearm, `[3]` unit vectors in the chest's axes, with x away from the body."""

    upper: Vector
    fore: Vector


@dataclass(frozen=True, slots=True)
class FootPose:
    """The foot's position in leg lengths: across and towards the camera from the stage's centre, and its lift."""

    x: float
    z: float
    lift: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class KeyPose:
    """One moment of a dance. Lengths in leg lengths, angles in degrees; left is the dancer's own.

    A turn, twist or head turn above 0 faces the picture's right; a lean above 0 tips to the dancer's left. A hand is
    open at a fist of 0 and closed at 1.
    """

    left_arm: ArmPose
    right_arm: ArmPose
    left_foot: FootPose
    right_foot: FootPose
    pelvis_x: float
    pelvis_z: float
    squat: float
    turn_deg: float
    twist_deg: float
    lean_deg: float
    bow_deg: float
    head_turn_deg: float
    nod_deg: float
    left_fist: float = 0.0
    right_fist: float = 0.0


def arm_pose(upper: tuple[float, float, float], fore: tuple[float, float, float]) -> ArmPose:
    return ArmPose(unit(vector(*upper)), unit(vector(*fore)))


ARMS = {
    "down": arm_pose((0.20, -1.0, 0.02), (0.14, -1.0, 0.16)),
    "side": arm_pose((1.0, -0.08, 0.08), (1.0, 0.04, 0.14)),
    "up": arm_pose((0.42, 1.0, 0.06), (0.16, 1.0, 0.12)),
    "wide": arm_pose((0.85, 0.60, 0.08), (0.75, 0.72, 0.15)),
    "low": arm_pose((0.80, -0.65, 0.05), (0.84, -0.52, 0.18)),
    "cactus": arm_pose((0.95, -0.12, 0.05), (0.16, 1.0, 0.18)),
    "flex": arm_pose((0.72, -0.75, 0.02), (0.42, 0.92, 0.28)),
    "hip": arm_pose((0.78, -0.72, -0.22), (-0.62, -0.66, 0.40)),
    "cross": arm_pose((0.34, -0.80, 0.46), (-0.78, 0.46, 0.42)),
    "front": arm_pose((0.42, -0.62, 0.62), (-0.18, 0.55, 0.80)),
    "wave": arm_pose((0.80, 0.10, 0.20), (0.45, 0.95, 0.22)),
    "crown": arm_pose((0.85, 0.60, 0.05), (-0.60, 0.82, 0.12)),
    "ahead": arm_pose((0.12, -0.20, 1.0), (0.04, -0.02, 1.0)),
    "reach": arm_pose((0.18, 0.60, 0.78), (0.06, 0.84, 0.54)),
    "behind": arm_pose((0.34, -0.85, -0.42), (0.26, -0.90, -0.30)),
}
"""Arm positions by name; both arms use the same table, mirrored."""


@dataclass(frozen=True, slots=True)
class Stance:
    """Feet and pelvis relative to the dancer's place on the stage, in leg lengths."""

    left_x: float = 0.0
    right_x: float = 0.0
    pelvis_x: float = 0.0
    squat: float = 0.03
    left_z: float = 0.0
    right_z: float = 0.0
    left_lift: float = 0.0
    right_lift: float = 0.0
    lean_deg: float = 0.0


STANCES = {
    "close": Stance(0.02, -0.02),
    "apart": Stance(0.13, -0.13, squat=0.05),
    "bend": Stance(0.16, -0.16, squat=0.16),
    "squat": Stance(0.20, -0.20, squat=0.30),
    "left lunge": Stance(0.30, -0.12, pelvis_x=0.15, squat=0.14, lean_deg=-5),
    "right lunge": Stance(0.12, -0.30, pelvis_x=-0.15, squat=0.14, lean_deg=5),
    "left step": Stance(0.06, -0.06, squat=0.06, left_z=0.16, right_z=-0.12),
    "right step": Stance(0.06, -0.06, squat=0.06, left_z=-0.12, right_z=0.16),
    "left knee": Stance(0.08, -0.02, pelvis_x=-0.05, squat=0.03, left_z=0.10, left_lift=0.24, lean_deg=3),
    "right knee": Stance(0.02, -0.08, pelvis_x=0.05, squat=0.03, right_z=0.10, right_lift=0.24, lean_deg=-3),
}


def key_pose(
    left: ArmPose,
    right: ArmPose,
    stance: Stance,
    x: float,
    z: float,
    turn_deg: float,
    head_turn_deg: float,
    fists: str = "",
) -> KeyPose:
    """Place and turn a stance; the feet turn about the place together with the pelvis.

    fists: the closed hands, from "l" and "r".
    """
    cos, sin = float(np.cos(np.radians(turn_deg))), float(np.sin(np.radians(turn_deg)))

    def foot(dx: float, dz: float, lift: float) -> FootPose:
        return FootPose(x + cos * dx + sin * dz, z - sin * dx + cos * dz, lift)

    return KeyPose(
        left_arm=left,
        right_arm=right,
        left_foot=foot(stance.left_x, stance.left_z, stance.left_lift),
        right_foot=foot(stance.right_x, stance.right_z, stance.right_lift),
        pelvis_x=x + cos * stance.pelvis_x,
        pelvis_z=z - sin * stance.pelvis_x,
        squat=stance.squat,
        turn_deg=turn_deg,
        twist_deg=0.0,
        lean_deg=stance.lean_deg,
        bow_deg=2 + 34 * stance.squat,
        head_turn_deg=head_turn_deg,
        nod_deg=4.0,
        left_fist=float("l" in fists),
        right_fist=float("r" in fists),
    )


def _ease(u: float) -> float:
    u = min(max(u, 0.0), 1.0)
    return u * u * (3 - 2 * u)


def _along_circle(a: Vector, b: Vector, u: float) -> Vector:
    """Interpolate from `a` to `b` at constant speed along the shorter arc."""
    angle = float(np.arccos(np.clip(a @ b, -1, 1)))
    if angle < 1e-4:
        return a
    return unit(a * np.sin((1 - u) * angle) + b * np.sin(u * angle))


def _direction_between(a: Vector, b: Vector, u: float) -> Vector:
    # The shorter arc between nearly opposite directions may pass through the body: go around the outside and front.
    if float(a @ b) > -0.5:
        return _along_circle(a, b, u)
    middle = unit((a + b) / 2 + vector(0.6, 0.0, 0.3))
    return _along_circle(a, middle, 2 * u) if u < 0.5 else _along_circle(middle, b, 2 * u - 1)


def _arm_between(a: ArmPose, b: ArmPose, u: float) -> ArmPose:
    return ArmPose(_direction_between(a.upper, b.upper, u), _direction_between(a.fore, b.fore, u))


def _foot_between(a: FootPose, b: FootPose, u: float) -> FootPose:
    """Interpolate a foot. It is lifted while it changes its place, and does not move otherwise."""
    stride = float(np.hypot(b.x - a.x, b.z - a.z))
    hop = 0.11 * min(1.0, stride / 0.15) * float(np.sin(np.pi * u))
    mix = [getattr(a, f.name) * (1 - u) + getattr(b, f.name) * u for f in fields(FootPose)]
    return FootPose(mix[0], mix[1], mix[2] + hop)


_LIMBS = ("left_arm", "right_arm", "left_foot", "right_foot")


def between(a: KeyPose, b: KeyPose, u: float) -> KeyPose:
    """Interpolate from `a` at u = 0 to `b` at u = 1. The left foot steps in the first half, the right in the second."""
    eased = _ease(u)
    numbers = {
        f.name: getattr(a, f.name) * (1 - eased) + getattr(b, f.name) * eased
        for f in fields(KeyPose)
        if f.name not in _LIMBS
    }
    return KeyPose(
        left_arm=_arm_between(a.left_arm, b.left_arm, eased),
        right_arm=_arm_between(a.right_arm, b.right_arm, eased),
        left_foot=_foot_between(a.left_foot, b.left_foot, _ease(2 * u)),
        right_foot=_foot_between(a.right_foot, b.right_foot, _ease(2 * u - 1)),
        **numbers,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Dance:
    """Key poses, one per beat, danced in a loop with a small rhythmic movement on top."""

    key_poses: Sequence[KeyPose]
    beat_seconds: float

    @property
    def seconds(self) -> float:
        return len(self.key_poses) * self.beat_seconds

    def pose_at(self, seconds: float) -> KeyPose:
        """Return the pose at this time. The dance loops seamlessly."""
        beat = seconds / self.beat_seconds
        index = int(np.floor(beat))
        a, b = (self.key_poses[i % len(self.key_poses)] for i in (index, index + 1))
        # Reaching a pose early and holding it looks more like dancing.
        pose = between(a, b, min(1.0, (beat - index) / 0.85))
        swing = float(np.sin(np.pi * beat))
        # A whole number of twists, so that the dance loops seamlessly.
        twists = round(len(self.key_poses) / 4) / len(self.key_poses)
        return replace(
            pose,
            squat=pose.squat + 0.018 * swing * swing,
            twist_deg=pose.twist_deg + 5 * float(np.sin(2 * np.pi * twists * beat)),
            nod_deg=pose.nod_deg + 4 * float(np.sin(2 * np.pi * beat)),
        )
