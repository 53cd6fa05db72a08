"""Fits a body to another body's size and place: pose normalisation of Chan et al., "Everybody Dance Now" (2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from motion.body import BodyMeasure, BodyStats
from motion.frame import FrameSize
from motion.pose import MAX_POSITION_PX, Pose

EXTRAPOLATION_LIMIT = 0.5
"""How far beyond [0, 1] the depth ratio may go, in either direction."""

_TALLER_THAN_STANDING = 1.06
"""A body taller than this factor times a standing body at the same ankles is nearer than its ankles suggest."""

_DEPTH_SHOWN_BY_HEIGHT = 0.03
"""If near and far heights differ by less than this fraction, height says nothing about depth."""


@dataclass(frozen=True, slots=True)
class Transform:
    """How a body is moved: scaled by `scale` around its foot, in units of the frames' heights.

    foot_y: where the lower ankle lands, as a fraction of the target frame's height.
    hip_x: where the hips' midpoint lands, as a fraction of the target frame's width.
    """

    scale: float
    foot_y: float
    hip_x: float


@dataclass(frozen=True, slots=True)
class Retargeting:
    """A transform and how it was found.

    depth_ratio: the ratio that was used: 0 at the source's far position, 1 at its near position.
    extrapolated: the ratio was outside [0, 1], nearer or farther than the source's stats cover.
    limited: the ratio (or the resulting scale) exceeded its limit and was clipped.
    on_the_spot: the source hardly moves in depth, so the ratio is 1.
    airborne: the ankles are too high for a standing body of this height, so the ratio follows the height.
    """

    transform: Transform
    depth_ratio: float
    extrapolated: bool
    limited: bool
    on_the_spot: bool
    airborne: bool = False


def retarget(
    measure: BodyMeasure, source: BodyStats, target: BodyStats, source_size: FrameSize, target_size: FrameSize
) -> Retargeting:
    """Compute where and how large the source's body in this frame appears in the target's frame.

    The result is finite for all valid stats and for measures within a million frames.

    With a the source's ankles in this frame, s and t the source's and the target's stats, and
    `ratio = (a - s_min) / (s_max - s_min)`, these are the formulas of Chan et al. 2019, section on pose normalisation:

        b + f_source = t_min + ratio * (t_max - t_min)                          where the foot lands
        scale        = t_far / s_far + ratio * (t_close / s_close - t_far / s_far)

    This adds three rules. On the spot, the ratio is 1. A jump does not count as walking away: if a body is too tall for
    the position of its ankles, it is in the air and the ratio follows its height. If the ratio does not come from the
    ankles (on the spot, in the air, limited), their scaled height above the ground at that ratio is kept, so that jumps
    remain jumps. In x, the scaled distance from the source's median hips is added to the target's.
    """
    on_the_spot = source.on_the_spot
    from_ankles = 1.0 if on_the_spot else _share(measure.ankle_y, source.far_ankle_y, source.near_ankle_y)
    from_height = -math.inf if on_the_spot else _ratio_from_height(measure.height, source)
    wanted = max(from_ankles, from_height)
    ratio = min(max(wanted, -EXTRAPOLATION_LIMIT), 1 + EXTRAPOLATION_LIMIT)
    far_scale, near_scale = target.far_height / source.far_height, target.near_height / source.near_height
    wanted_scale = _between(far_scale, near_scale, ratio)
    # Extrapolating between very different bodies could make the scale zero or negative (upside down).
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
    """Move a pose from pixels of the source's frame to pixels of the target's full frame.

    anchor: the measure that the transform was computed from; its foot lands at `transform.foot_y` and its hips at
    `transform.hip_x`. One frame height is one unit in both frames and both directions, so the body keeps its shape
    between frames of different aspect ratios. Joints are clipped to `MAX_POSITION_PX` in x and y, which is outside of
    any crop.
    """
    pixels_per_pixel = transform.scale * target_size.height_px / source_size.height_px
    anchor_px = np.array([anchor.hip_x * source_size.width_px, anchor.foot_y * source_size.height_px])
    landing_px = np.array([transform.hip_x * target_size.width_px, transform.foot_y * target_size.height_px])
    # Use double precision: far from the frame, the terms are large and nearly cancel out.
    moved_px = (pose.joints_px - anchor_px) * pixels_per_pixel + landing_px
    return Pose(np.clip(moved_px, -MAX_POSITION_PX, MAX_POSITION_PX), pose.confidence)


def _ratio_from_height(height: float, source: BodyStats) -> float:
    """Return the depth ratio at which a standing body is this tall, at most 1; -inf if heights say nothing."""
    if source.near_height - source.far_height < _DEPTH_SHOWN_BY_HEIGHT * source.near_height:
        return -math.inf
    return min(_share(height / _TALLER_THAN_STANDING, source.far_height, source.near_height), 1.0)


def _share(value: float, start: float, end: float) -> float:
    return (value - start) / (end - start)


def _between(start: float, end: float, ratio: float) -> float:
    return start + ratio * (end - start)
