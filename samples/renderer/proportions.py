"""A person's proportions, and their skeleton in a key pose."""

from dataclasses import dataclass

import numpy as np

from samples.renderer.choreography import ArmPose, FootPose, KeyPose
from samples.renderer.geometry import Vector, rotation, unit, vector

SIDES = (("left", 1.0), ("right", -1.0))
"""The dancer's own sides, and their x direction in the world when facing the camera."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BodyShape:
    """Proportions of one person: lengths between joints in metres, girths as factors of an average person."""

    thigh_m: float = 0.43
    shin_m: float = 0.42
    ankle_height_m: float = 0.100
    foot_m: float = 0.25
    hip_half_m: float = 0.094
    spine_m: float = 0.50
    """Middle of the hips to the base of the neck."""
    shoulder_half_m: float = 0.178
    upper_arm_m: float = 0.285
    forearm_m: float = 0.255
    hand: float = 1.0
    head: float = 1.0
    trunk_girth: float = 1.0
    limb_girth: float = 1.0
    waist: float = 0.92
    """Girth of the waist relative to the chest."""

    @property
    def leg_m(self) -> float:
        """Hip to ankle of a straight leg: the unit of key poses."""
        return self.thigh_m + self.shin_m


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    shoulder_m: Vector
    elbow_m: Vector
    wrist_m: Vector
    palm: Vector
    """Unit vector out of the palm."""


@dataclass(frozen=True, slots=True, eq=False)
class Leg:
    hip_m: Vector
    knee_m: Vector
    ankle_m: Vector
    forward: Vector
    """Horizontal unit vector in the foot's direction."""
    lift_m: float


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """A posed body: positions in metres, axes as `[3, 3]` with columns left, up and front."""

    pelvis_m: Vector
    pelvis_axes: Vector
    chest_m: Vector
    chest_axes: Vector
    neck_m: Vector
    head_m: Vector
    head_axes: Vector
    arms: dict[str, Arm]
    legs: dict[str, Leg]


def bend(root_m: Vector, target_m: Vector, first_m: float, second_m: float, towards: Vector) -> tuple[Vector, Vector]:
    """Place two bones from `root_m` to `target_m`, bent in the direction `towards`.

    Returns the middle joint and the end, which is the target or the closest point within reach.
    """
    gap = target_m - root_m
    away_m = float(np.linalg.norm(gap))
    along = unit(gap)
    span_m = float(np.clip(away_m, abs(first_m - second_m) * 1.001, (first_m + second_m) * 0.9999))
    before_m = (first_m**2 - second_m**2 + span_m**2) / (2 * span_m)
    aside = unit(towards - along * float(along @ towards))
    aside_m = float(np.sqrt(max(first_m**2 - before_m**2, 0.0)))
    return root_m + along * before_m + aside * aside_m, root_m + along * span_m


def _palm(fore: Vector, chest_axes: Vector, side: float) -> Vector:
    """Return the palm's direction: to the camera on a raised hand, to the back on a hanging one, as with real people.

    Both show the camera five fingers side by side, so that trackers can find the hand.
    """
    in_chest = chest_axes.T @ fore
    raised = float(np.clip((in_chest[1] + 0.80) / 0.55, 0, 1))
    front = chest_axes @ vector(0, 0, 1)
    front = front - fore * float(front @ fore)
    if float(np.linalg.norm(front)) < 0.25:  # the forearm points at the camera: palm to the floor
        front = chest_axes @ vector(0, -1, 0)
        front = front - fore * float(front @ fore)
    front = unit(front)
    inward = np.cross(front, fore) * side
    angle = np.radians(150 * (1 - raised))
    return unit(front * np.cos(angle) + inward * np.sin(angle))


def _arm(body: BodyShape, pose: ArmPose, side: float, chest_m: Vector, chest_axes: Vector) -> Arm:
    mirror = vector(side, 1, 1)
    upper, fore = chest_axes @ (pose.upper * mirror), chest_axes @ (pose.fore * mirror)
    # Shoulders rise with a raised arm, and move in with it.
    raised = max(0.0, float(pose.upper[1]))
    shoulder_m = chest_m + chest_axes @ vector(
        side * (body.shoulder_half_m - 0.015 * raised), 0.285 * body.spine_m + 0.03 * raised, -0.005
    )
    elbow_m = shoulder_m + upper * body.upper_arm_m
    return Arm(shoulder_m, elbow_m, elbow_m + fore * body.forearm_m, _palm(fore, chest_axes, side))


def _ankle_m(body: BodyShape, foot: FootPose, turn: Vector, side: float) -> Vector:
    """Return the ankle's position; the foot is under its hip if its key pose is 0."""
    stage = vector(foot.x * body.leg_m, body.ankle_height_m + foot.lift * body.leg_m, foot.z * body.leg_m)
    return stage + turn @ vector(side * body.hip_half_m, 0, -0.03)


def pose_skeleton(body: BodyShape, pose: KeyPose) -> Skeleton:
    """Return the skeleton of `body` in `pose`. The feet keep their positions; the pelvis lowers until they reach."""
    turn = rotation("y", pose.turn_deg)
    pelvis_axes = turn @ rotation("x", 0.45 * pose.bow_deg)
    feet, arm_poses = (pose.left_foot, pose.right_foot), (pose.left_arm, pose.right_arm)
    ankles_m = {name: _ankle_m(body, foot, turn, side) for (name, side), foot in zip(SIDES, feet, strict=True)}
    reach_m = 0.997 * body.leg_m
    hip_drop_m = 0.03
    height_m = body.ankle_height_m + hip_drop_m + (1 - pose.squat) * reach_m
    pelvis_m = vector(pose.pelvis_x * body.leg_m, height_m, pose.pelvis_z * body.leg_m)
    for name, side in SIDES:
        offset = pelvis_axes @ vector(side * body.hip_half_m, -hip_drop_m, 0)
        level_m = np.delete(ankles_m[name] - pelvis_m - offset, 1)
        rise_m = float(np.sqrt(max(reach_m**2 - float(level_m @ level_m), 0.0)))
        pelvis_m[1] = min(float(pelvis_m[1]), float(ankles_m[name][1]) + rise_m - float(offset[1]))

    chest_axes = turn @ rotation("y", pose.twist_deg) @ rotation("z", -pose.lean_deg) @ rotation("x", pose.bow_deg)
    head_axes = turn @ rotation("y", pose.twist_deg + pose.head_turn_deg) @ rotation("z", -0.5 * pose.lean_deg)
    head_axes = head_axes @ rotation("x", pose.nod_deg + 0.25 * pose.bow_deg)
    waist_m = pelvis_m + pelvis_axes @ vector(0, 0.20 * body.spine_m, 0)
    chest_m = waist_m + chest_axes @ vector(0, 0.40 * body.spine_m, 0)
    neck_m = chest_m + chest_axes @ vector(0, 0.40 * body.spine_m, -0.01)
    head_m = neck_m + chest_axes @ vector(0, 0.06, 0.012) + head_axes @ vector(0, 0.118 * body.head, 0.018)

    legs: dict[str, Leg] = {}
    for (name, side), foot in zip(SIDES, feet, strict=True):
        hip_m = pelvis_m + pelvis_axes @ vector(side * body.hip_half_m, -hip_drop_m, 0)
        forward = turn @ rotation("y", side * 13) @ vector(0, 0, 1)
        knee_m, ankle_m = bend(hip_m, ankles_m[name], body.thigh_m, body.shin_m, forward)
        legs[name] = Leg(hip_m, knee_m, ankle_m, forward, foot.lift * body.leg_m)
    arms = {
        name: _arm(body, arm, side, chest_m, chest_axes) for (name, side), arm in zip(SIDES, arm_poses, strict=True)
    }
    return Skeleton(pelvis_m, pelvis_axes, chest_m, chest_axes, neck_m, head_m, head_axes, arms, legs)


def sole_points_m(body: BodyShape, leg: Leg) -> tuple[Vector, Vector, Vector]:
    """Return heel, big toe and little toe. The toes of a lifted foot hang."""
    droop = min(0.45, 2.2 * leg.lift_m)
    down = vector(0, -1, 0)
    along = unit(leg.forward + down * droop)
    below = unit(down + leg.forward * (-droop))
    sole_m = leg.ankle_m + below * (body.ankle_height_m - 0.025)
    ball_m = sole_m + along * (0.66 * body.foot_m)
    return sole_m - along * (0.25 * body.foot_m), ball_m, ball_m - along * (0.10 * body.foot_m)


def joints_m(body: BodyShape, skeleton: Skeleton) -> Vector:
    """Return the true joints, `[25, 3]` in BODY_25 order, inside the body where an annotator would place them."""

    def on_head(x: float, y: float, z: float) -> Vector:
        return skeleton.head_m + skeleton.head_axes @ (vector(x, y, z) * body.head)

    arms, legs = skeleton.arms, skeleton.legs
    neck_m = (arms["left"].shoulder_m + arms["right"].shoulder_m) / 2
    mid_hip_m = (legs["left"].hip_m + legs["right"].hip_m) / 2
    feet: dict[str, tuple[Vector, Vector, Vector]] = {}
    for name, side in SIDES:
        heel_m, big_m, small_m = sole_points_m(body, legs[name])
        outward = np.cross(vector(0, 1, 0), legs[name].forward) * side
        feet[name] = (
            heel_m + vector(0, 0.025, 0),
            big_m + vector(0, 0.012, 0) - outward * 0.015,
            small_m + outward * 0.035,
        )
    right_arm, left_arm, right_leg, left_leg = arms["right"], arms["left"], legs["right"], legs["left"]
    return np.stack(
        [
            on_head(0, -0.030, 0.108),
            neck_m,
            *(right_arm.shoulder_m, right_arm.elbow_m, right_arm.wrist_m),
            *(left_arm.shoulder_m, left_arm.elbow_m, left_arm.wrist_m),
            mid_hip_m,
            *(right_leg.hip_m, right_leg.knee_m, right_leg.ankle_m),
            *(left_leg.hip_m, left_leg.knee_m, left_leg.ankle_m),
            *(on_head(-0.032, 0.006, 0.080), on_head(0.032, 0.006, 0.080)),
            *(on_head(-0.080, -0.008, -0.004), on_head(0.080, -0.008, -0.004)),
            *(feet["left"][1], feet["left"][2], feet["left"][0]),
            *(feet["right"][1], feet["right"][2], feet["right"][0]),
        ]
    )
