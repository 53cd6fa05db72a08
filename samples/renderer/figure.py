"""The traced geometry: body and clothes around a skeleton."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samples.renderer.appearance import Look
from samples.renderer.choreography import KeyPose
from samples.renderer.geometry import Field, Primitive, Vector, cone, ellipsoid, unit, vector
from samples.renderer.proportions import SIDES, Arm, BodyShape, Leg, Skeleton, joints_m, pose_skeleton, sole_points_m


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Primitives that blend smoothly. Edges between parts are sharp, as between a sleeve and an arm."""

    name: str
    field: Field


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A dressed person in one pose.

    joints_m: `[25, 3]` in BODY_25 order.
    """

    parts: Sequence[Part]
    skeleton: Skeleton
    joints_m: Vector
    head_scale: float


def build_figure(body: BodyShape, look: Look, pose: KeyPose) -> Figure:
    skeleton = pose_skeleton(body, pose)
    parts = [
        Part("top", Field(_top(body, look, skeleton), 0.016)),
        Part("bottom", Field(_bottom(body, skeleton), 0.014)),
        Part("head", Field(_head(body, skeleton), 0.010)),
        Part("hair", Field(_hair(body, look, skeleton), 0.012)),
    ]
    for name, side in SIDES:
        arm = skeleton.arms[name]
        parts.append(Part(f"{name} arm", Field(_arm(body, arm), 0.006)))
        fist = pose.left_fist if name == "left" else pose.right_fist
        parts.append(Part(f"{name} hand", Field(_hand(body, arm, side, fist), 0.004)))
        parts.append(Part(f"{name} shoe", Field(_shoe(body, skeleton.legs[name]), 0.010)))
    return Figure(tuple(parts), skeleton, joints_m(body, skeleton), body.head)


def _top(body: BodyShape, look: Look, skeleton: Skeleton) -> list[Primitive]:
    """Shirt and sleeves. Patterns start at the hips, so that hoops are continuous over the whole trunk."""
    girth, spine_m = body.trunk_girth, body.spine_m
    pelvis, chest = skeleton.pelvis_axes, skeleton.chest_axes

    def on_pelvis(y: float) -> Vector:
        return skeleton.pelvis_m + pelvis @ vector(0, y, 0)

    def on_chest(x: float, y: float, z: float) -> Vector:
        return skeleton.chest_m + chest @ vector(x, y, z)

    waist_radius_m = 0.135 * girth * body.waist
    hem_m, waist_m = on_pelvis(-0.01), on_pelvis(0.22 * spine_m)
    under_m, ribs_m = on_chest(0, -0.12 * spine_m, 0), on_chest(0, 0.08 * spine_m, 0)
    top_m = on_chest(0, 0.22 * spine_m, -0.01)
    front = chest[:, 2]
    primitives = [
        # This cone points from the waist down, so that the flat end is at the hem.
        cone(waist_m, hem_m, waist_radius_m, 0.160 * girth, "top", wide=1.14, deep=0.84, facing=pelvis[:, 2],
             pattern_origin_m=0.22 * spine_m, hemmed=True),
        cone(waist_m, under_m, waist_radius_m, 0.130 * girth, "top", wide=1.12, deep=0.82, facing=front,
             pattern_origin_m=0.22 * spine_m),
        cone(under_m, ribs_m, 0.130 * girth, 0.140 * girth, "top", wide=1.12, deep=0.80, facing=front,
             pattern_origin_m=0.48 * spine_m),
        cone(ribs_m, top_m, 0.140 * girth, 0.112 * girth, "top", wide=1.14, deep=0.78, facing=front,
             pattern_origin_m=0.68 * spine_m),
    ]  # fmt: skip
    for name, side in SIDES:
        arm = skeleton.arms[name]
        primitives.append(
            cone(on_chest(side * 0.05, 0.34 * spine_m, -0.014), arm.shoulder_m, 0.046, 0.050, "top",
                 pattern_origin_m=0.80 * spine_m)
        )  # fmt: skip
        if look.bust_m > 0:
            primitives.append(
                ellipsoid(on_chest(side * 0.066, 0.08 * spine_m, 0.075), chest, (0.070, 0.070, look.bust_m), "top")
            )
        primitives.extend(_sleeve(body, look, arm))
    return primitives


def _sleeve(body: BodyShape, look: Look, arm: Arm) -> list[Primitive]:
    """Sleeve of one arm; `look.sleeve` is 1 at the elbow and 2 at the wrist."""
    girth = body.limb_girth
    upper_end_m = arm.shoulder_m + (arm.elbow_m - arm.shoulder_m) * min(look.sleeve, 1.0)
    if look.sleeve <= 1:
        return [cone(arm.shoulder_m, upper_end_m, 0.053 * girth, 0.058 * girth, "sleeve", hemmed=True)]
    cuff_m = arm.elbow_m + (arm.wrist_m - arm.elbow_m) * (look.sleeve - 1)
    return [
        cone(arm.shoulder_m, upper_end_m, 0.052 * girth, 0.050 * girth, "sleeve"),
        cone(
            arm.elbow_m, cuff_m, 0.050 * girth, 0.044 * girth, "sleeve", pattern_origin_m=body.upper_arm_m, hemmed=True
        ),
    ]


def _bottom(body: BodyShape, skeleton: Skeleton) -> list[Primitive]:
    girth, limb = body.trunk_girth, body.limb_girth
    pelvis = skeleton.pelvis_axes
    primitives = [
        cone(
            skeleton.pelvis_m + pelvis @ vector(0, -0.035, 0), skeleton.pelvis_m + pelvis @ vector(0, 0.03, 0),
            0.128 * girth, 0.112 * girth, "bottom", wide=1.14, deep=0.84, facing=pelvis[:, 2],
        )
    ]  # fmt: skip
    for leg in skeleton.legs.values():
        calf_m = leg.knee_m + (leg.ankle_m - leg.knee_m) * 0.30
        cuff_m = leg.knee_m + (leg.ankle_m - leg.knee_m) * 0.93
        facing = leg.forward
        primitives += [
            cone(leg.hip_m, leg.knee_m, 0.088 * limb, 0.055 * limb, "bottom", facing=facing),
            cone(leg.knee_m, calf_m, 0.055 * limb, 0.057 * limb, "bottom", facing=facing,
                 pattern_origin_m=body.thigh_m),
            cone(calf_m, cuff_m, 0.057 * limb, 0.053 * limb, "bottom", facing=facing,
                 pattern_origin_m=body.thigh_m + 0.3 * body.shin_m, hemmed=True),
        ]  # fmt: skip
    return primitives


def _arm(body: BodyShape, arm: Arm) -> list[Primitive]:
    girth = body.limb_girth
    bulge_m = arm.elbow_m + (arm.wrist_m - arm.elbow_m) * 0.30
    return [
        cone(arm.shoulder_m, arm.elbow_m, 0.047 * girth, 0.039 * girth, "skin"),
        cone(arm.elbow_m, bulge_m, 0.038 * girth, 0.042 * girth, "skin"),
        cone(bulge_m, arm.wrist_m, 0.042 * girth, 0.027 * girth, "skin", facing=arm.palm),
    ]


_FINGERS = ((0.030, 0.090, 0.066), (0.010, 0.095, 0.076), (-0.010, 0.093, 0.071), (-0.029, 0.086, 0.055))
"""Index to little finger: position across and along the palm, and length; metres, for a hand of size 1."""


def _hand(body: BodyShape, arm: Arm, side: float, fist: float) -> list[Primitive]:
    """Palm, thumb and four fingers, spread enough to be distinct at 256 pixels. A `fist` of 0 is open, 1 closed."""
    size = body.hand
    along = unit(arm.elbow_m - arm.wrist_m) * -1.0
    thumb_side = np.cross(arm.palm, along) * side
    axes = np.stack([thumb_side, along, arm.palm], axis=1)

    def at(x: float, y: float, z: float) -> Vector:
        place: Vector = arm.wrist_m + axes @ (vector(x, y, z) * size)
        return place

    primitives = [
        cone(at(0, -0.012, 0), at(0, 0.022, 0), 0.027 * size, 0.029 * size, "skin", wide=1.05, deep=0.78,
             facing=arm.palm),
        cone(at(-0.002, 0.036, 0), at(0, 0.074, 0), 0.033 * size, 0.036 * size, "skin", wide=1.10, deep=0.42,
             facing=arm.palm),
    ]  # fmt: skip
    for across, start, length in _FINGERS:
        knuckle_m = at(across, start, 0)
        spread = along + thumb_side * (across * 8.5 * (1 - 0.8 * fist))
        straight = unit(_turned(spread, arm.palm, 85 * fist) + arm.palm * 0.10)
        curled = unit(_turned(straight + arm.palm * 0.25, unit(arm.palm - along * fist), 85 * fist))
        middle_m = knuckle_m + straight * (0.52 * length * size)
        tip_m = middle_m + curled * (0.48 * length * size)
        primitives.append(cone(knuckle_m, middle_m, 0.0098 * size, 0.0090 * size, "skin"))
        primitives.append(cone(middle_m, tip_m, 0.0090 * size, 0.0076 * size, "skin"))
    root_m = at(0.026, 0.028, 0.006)
    # A closed thumb lies across the fingers.
    rooted = vector(0.85, 0.72, 0.30) * (1 - fist) + vector(0.30, 0.60, 0.80) * fist
    bent = vector(0.42, 1.0, 0.15) * (1 - fist) + vector(-0.90, 0.25, 0.25) * fist
    joint_m = root_m + unit(axes @ rooted) * (0.044 * size)
    tip_m = joint_m + unit(axes @ bent) * (0.036 * size)
    primitives.append(cone(root_m, joint_m, 0.0150 * size, 0.0115 * size, "skin"))
    primitives.append(cone(joint_m, tip_m, 0.0112 * size, 0.0090 * size, "skin"))
    return primitives


def _turned(direction: Vector, towards: Vector, degrees: float) -> Vector:
    """Turn `direction` by an angle towards `towards`."""
    cos, sin = float(np.cos(np.radians(degrees))), float(np.sin(np.radians(degrees)))
    turned: Vector = direction * cos + towards * sin
    return turned


def _shoe(body: BodyShape, leg: Leg) -> list[Primitive]:
    heel_m, toe_m, _ = sole_points_m(body, leg)
    up, along = unit(leg.ankle_m - (heel_m * 0.72 + toe_m * 0.28)), unit(toe_m - heel_m)
    back_m, tip_m = heel_m + along * 0.030 + up * 0.016, toe_m - along * 0.030 + up * 0.010
    return [
        cone(leg.ankle_m + up * 0.045, leg.ankle_m - up * 0.045, 0.034, 0.036, "sock"),
        cone(back_m + up * 0.014, leg.ankle_m + along * 0.030 - up * 0.022, 0.036, 0.037, "shoe"),
        cone(leg.ankle_m + along * 0.050 - up * 0.036, tip_m + up * 0.006, 0.040, 0.029, "shoe", wide=1.12, facing=up),
        cone(back_m, tip_m, 0.038, 0.041, "sole", deep=0.62, wide=1.08, facing=up),
    ]


def _head(body: BodyShape, skeleton: Skeleton) -> list[Primitive]:
    """Neck and face; the look paints eyes, brows and lips."""
    axes, size = skeleton.head_axes, body.head

    def at(x: float, y: float, z: float) -> Vector:
        return skeleton.head_m + axes @ (vector(x, y, z) * size)

    def lump(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Primitive:
        return ellipsoid(at(*centre), axes, [r * size for r in radii], "face")

    def ridge(a: tuple[float, float, float], b: tuple[float, float, float], start: float, end: float) -> Primitive:
        return cone(at(*a), at(*b), start * size, end * size, "face")

    collar_m = skeleton.neck_m + skeleton.chest_axes @ vector(0, -0.055, -0.006)
    primitives = [
        cone(collar_m, at(0, -0.055, -0.020), 0.058, 0.050, "skin"),
        lump((0, 0.034, -0.012), (0.075, 0.094, 0.094)),
        lump((0, -0.036, 0.018), (0.061, 0.080, 0.068)),
        lump((0, -0.096, 0.054), (0.027, 0.023, 0.025)),
        ridge((-0.034, 0.027, 0.068), (0.034, 0.027, 0.068), 0.013, 0.013),
        ridge((0, 0.016, 0.080), (0, -0.024, 0.100), 0.0085, 0.0115),
        ridge((-0.010, -0.031, 0.091), (0.010, -0.031, 0.091), 0.0080, 0.0080),
        ridge((-0.014, -0.061, 0.079), (0.014, -0.061, 0.079), 0.0070, 0.0070),
        ridge((-0.012, -0.072, 0.078), (0.012, -0.072, 0.078), 0.0078, 0.0078),
    ]
    for _, side in SIDES:
        primitives += [
            lump((side * 0.037, -0.028, 0.050), (0.029, 0.033, 0.030)),
            lump((side * 0.041, -0.073, 0.016), (0.022, 0.030, 0.036)),
            lump((side * 0.077, -0.006, -0.006), (0.010, 0.029, 0.018)),
        ]
    return primitives


def _hair(body: BodyShape, look: Look, skeleton: Skeleton) -> list[Primitive]:
    axes, size = skeleton.head_axes, body.head

    def lump(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Primitive:
        return ellipsoid(skeleton.head_m + axes @ (vector(*centre) * size), axes, [r * size for r in radii], "hair")

    primitives = [
        lump((0, 0.048, -0.030), (0.080, 0.090, 0.090)),
        lump((0, 0.090, 0.012), (0.062, 0.040, 0.064)),
    ]
    if not look.long_hair:
        # Short at the neck, with a quiff to one side.
        return [
            *primitives,
            lump((0, -0.008, -0.058), (0.073, 0.075, 0.048)),
            lump((-0.024, 0.094, 0.046), (0.044, 0.026, 0.034)),
            lump((0.030, 0.090, 0.044), (0.038, 0.024, 0.032)),
            *(lump((side * 0.073, 0.018, 0.006), (0.010, 0.030, 0.016)) for side in (1, -1)),
        ]
    strands = [
        lump((side * x, y, z), (0.024, 0.075, 0.034))
        for side in (1, -1)
        for x, y, z in ((0.076, 0.00, -0.022), (0.082, -0.10, -0.040))
    ]
    fringe = [lump((side * 0.036, 0.086, 0.044), (0.046, 0.032, 0.036)) for side in (1, -1)]
    back = [lump((0, -0.04, -0.062), (0.080, 0.13, 0.048)), lump((0, -0.15, -0.070), (0.084, 0.09, 0.040))]
    return [*primitives, *back, *strands, *fringe]
