"""Lays a body into another body and place: the pose normalisation of Chan et al., "Everybody Dance Now" (2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from motion.body import BodyMeasure, BodyStats
from motion.frame import FrameSize
from motion.pose import MAX_POSITION_PX, Pose

EXTRAPOLATION_LIMIT = 0.5
"""How far beyond [0, 1] the depth ratio may go: half of the way between far and near, nearer or farther."""

_TALLER_THAN_STANDING = 1.06
"""A body taller by more than this than one that stands at its ankles' place is nearer than its ankles say."""

_DEPTH_SHOWN_BY_HEIGHT = 0.03
"""Near and far heights closer than this fraction tell nothing about depth."""


@dataclass(frozen=True, slots=True)
class Transform:
    """What is done to a body: scaled by `scale` about its foot, in fractions of the frames' heights.

    foot_y: where the lower ankle lands, a fraction of the target frame's height.
    hip_x: where the hips' middle lands, a fraction of the target frame's width.
    """

    scale: float
    foot_y: float
    hip_x: float


@dataclass(frozen=True, slots=True)
class Retargeting:
    """A transform and how it came about.

    depth_ratio: 0 at the source's far stand, 1 at its near stand, as it was used.
    extrapolated: the ratio lies outside of [0, 1]: nearer or farther than the source's stats know.
    limited: the ratio (or the scale that follows from it) was beyond the limit and is held there.
    on_the_spot: the source hardly moves in depth, so the ratio was taken as 1.
    airborne: the ankles are higher than a body of this height can stand, so the ratio follows the height.
    """

    transform: Transform
    depth_ratio: float
    extrapolated: bool
    limited: bool
    on_the_spot: bool
    airborne: bool = False


def retarget(
    measure: BodyMeasure,
    source: BodyStats,
    target: BodyStats,
    source_size: FrameSize,
    target_size: FrameSize,
    extrapolation_limit: float = EXTRAPOLATION_LIMIT,
) -> Retargeting:
    """Where and how large the source's body of this frame stands in the target's frame.

    Finite for all stats that there can be, and measures within a million frames.

    With a the source's ankles in this frame, s and t the source's and the target's stats, and
    `ratio = (a - s_min) / (s_max - s_min)`, these are the formulas of Chan et al. 2019, section on pose normalisation:

        b + f_source = t_min + ratio * (t_max - t_min)                          where the foot lands
        scale        = t_far / s_far + ratio * (t_close / s_close - t_far / s_far)

    Three things are added. On the spot the ratio is 1. A jump is not read as walking away: a body that is too tall for
    its ankles' place is in the air, and the ratio follows its height. Where the ratio is not the ankles' own (on the
    spot, in the air, limited), their distance from the ground at that ratio is scaled and kept, so that jumps stay
    jumps. x: the distance from the source's median hips, scaled, is laid from the target's.

    extrapolation_limit: how far beyond [0, 1] the ratio may go. ValueError when it is negative.
    """
    if extrapolation_limit < 0:
        raise ValueError(f"extrapolation_limit cannot be negative, got {extrapolation_limit}")
    on_the_spot = source.on_the_spot
    from_ankles = 1.0 if on_the_spot else _share(measure.ankle_y, source.far_ankle_y, source.near_ankle_y)
    from_height = -math.inf if on_the_spot else _ratio_from_height(measure.height, source)
    wanted = max(from_ankles, from_height)
    ratio = min(max(wanted, -extrapolation_limit), 1 + extrapolation_limit)
    far_scale, near_scale = target.far_height / source.far_height, target.near_height / source.near_height
    wanted_scale = _between(far_scale, near_scale, ratio)
    # Extrapolated between very different bodies, the line would reach zero and turn the body upside down.
    scale = min(max(wanted_scale, min(far_scale, near_scale) / 2), max(far_scale, near_scale) * 2)
    ground_y = _between(source.far_ankle_y, source.near_ankle_y, ratio)
    landing_y = _between(target.far_ankle_y, target.near_ankle_y, ratio)
    above_ground = 0.0 if ratio == from_ankles and not on_the_spot else ground_y - measure.ankle_y
    sideways = (measure.hip_x - source.hip_x) * source_size.width_px / source_size.height_px
    return Retargeting(
        transform=Transform(
            scale=scale,
            foot_y=landing_y - above_ground * scale,
            hip_x=target.hip_x + sideways * scale * target_size.height_px / target_size.width_px,
        ),
        depth_ratio=ratio,
        extrapolated=not 0 <= wanted <= 1,
        limited=ratio != wanted or scale != wanted_scale,
        on_the_spot=on_the_spot,
        airborne=from_height > from_ankles,
    )


def apply_transform(
    pose: Pose, anchor: BodyMeasure, source_size: FrameSize, target_size: FrameSize, transform: Transform
) -> Pose:
    """The pose in pixels of the target's full frame.

    pose: in pixels of the source's frame. anchor: the measure that the transform was made from; its foot lands at
    `transform.foot_y`, its hips at `transform.hip_x`. One frame height is one unit in both frames and both directions,
    so frames of different shapes keep the body's shape. A joint that would lie farther out than `MAX_POSITION_PX`, in x
    or in y, is laid at that distance: it is as far outside of every stage.
    """
    pixels_per_pixel = transform.scale * target_size.height_px / source_size.height_px
    anchor_px = np.array([anchor.hip_x * source_size.width_px, anchor.foot_y * source_size.height_px])
    landing_px = np.array([transform.hip_x * target_size.width_px, transform.foot_y * target_size.height_px])
    # In double precision: far from the frame the terms are large, and nearly cancel each other.
    moved_px = (pose.joints_px - anchor_px) * pixels_per_pixel + landing_px
    return Pose(np.clip(moved_px, -MAX_POSITION_PX, MAX_POSITION_PX), pose.confidence)


def _ratio_from_height(height: float, source: BodyStats) -> float:
    """The depth at which a standing body looks this tall, at most near; -inf where heights tell nothing."""
    if source.near_height - source.far_height < _DEPTH_SHOWN_BY_HEIGHT * source.near_height:
        return -math.inf
    return min(_share(height / _TALLER_THAN_STANDING, source.far_height, source.near_height), 1.0)


def _share(value: float, start: float, end: float) -> float:
    return (value - start) / (end - start)


def _between(start: float, end: float, ratio: float) -> float:
    return start + ratio * (end - start)
