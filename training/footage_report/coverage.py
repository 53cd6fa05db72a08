"""Which views of the person the footage shows: those that a wardrobe is cut from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose
from motion.wardrobe.limbs import Limb
from motion.wardrobe.pieces import facing_of
from motion.wardrobe.placing import Floats, PlacedBody, hand_points, measure_limbs, place

Flags = NDArray[np.bool_]


class View(StrEnum):
    """A view of the person. "Left" and "right" are the person's own."""

    FRONT = "front"
    LEFT_SIDE = "left"
    RIGHT_SIDE = "right"
    BACK = "back"
    ARMS_AWAY = "arms away"
    LEFT_ARM_UP = "left arm up"
    RIGHT_ARM_UP = "right arm up"
    LEFT_HAND_OPEN = "left hand open"
    LEFT_HAND_CLOSED = "left hand closed"
    RIGHT_HAND_OPEN = "right hand open"
    RIGHT_HAND_CLOSED = "right hand closed"
    LEFT_FOOT = "left foot"
    RIGHT_FOOT = "right foot"


_WRIST_AWAY: Final = 0.65
_ELBOW_AWAY: Final = 0.38
"""Distances from the line between neck and hips, in torso lengths, from which an arm hides nothing of the trunk."""
_OPEN_FROM: Final = 1.6
_CLOSED_TO: Final = 1.25
"""Wrist to fingertips as a multiple of wrist to knuckle: about 1.9 for a flat hand and 1 for a fist."""
_KNUCKLE: Final = 9
_FINGERTIPS: Final = (8, 12, 16, 20)
_ARMS: Final = {
    "left": (skeleton.L_ELBOW, skeleton.L_WRIST),
    "right": (skeleton.R_ELBOW, skeleton.R_WRIST),
}
_FEET: Final = {
    View.LEFT_FOOT: (skeleton.L_ANKLE, skeleton.L_HEEL, skeleton.L_BIG_TOE),
    View.RIGHT_FOOT: (skeleton.R_ANKLE, skeleton.R_HEEL, skeleton.R_BIG_TOE),
}


def views_shown(poses: Sequence[Pose | None], frame_size: FrameSize) -> Mapping[View, Flags]:
    """Return for each view which frames show it, `[F]` bool.

    poses: in pixels of the footage; None where no person was found.
    """
    shown = {view: np.zeros(len(poses), bool) for view in View}
    try:
        lengths_px = measure_limbs(pose for pose in poses if pose is not None)
    except ValueError:  # no frame shows a whole limb
        return shown
    for frame, pose in enumerate(poses):
        if pose is not None:
            for view in views_of(place(pose, lengths_px), frame_size):
                shown[view][frame] = True
    return shown


def views_of(body: PlacedBody, frame_size: FrameSize) -> set[View]:
    """Return the views that one frame shows. body: in pixels of the footage."""
    found = {view for view, joints in _FEET.items() if _all_inside(body.pose, joints, frame_size)}
    facing = _facing(body)
    if facing is not None:
        found.add(facing)
    away = {side: _arm_away(body, *joints) for side, joints in _ARMS.items()}
    if all(away.values()) and facing is View.FRONT:
        found.add(View.ARMS_AWAY)
    nose = body.pose.joint(skeleton.NOSE)
    for view, wrist in ((View.LEFT_ARM_UP, skeleton.L_WRIST), (View.RIGHT_ARM_UP, skeleton.R_WRIST)):
        hand = body.pose.joint(wrist)
        if nose is not None and hand is not None and hand[1] < nose[1]:
            found.add(view)
    found |= _hand_views(body, Limb.LEFT_HAND, View.LEFT_HAND_OPEN, View.LEFT_HAND_CLOSED)
    found |= _hand_views(body, Limb.RIGHT_HAND, View.RIGHT_HAND_OPEN, View.RIGHT_HAND_CLOSED)
    return found


def _facing(body: PlacedBody) -> View | None:
    """The side of the person that the camera sees; None without a torso and a head."""
    return View(facing_of(body)) if body.placed[Limb.TORSO] and body.placed[Limb.HEAD] else None


def _arm_away(body: PlacedBody, elbow: int, wrist: int) -> bool:
    """Whether an arm hides nothing of the trunk."""
    pose = body.pose
    if not body.placed[Limb.TORSO] or pose.joint(elbow) is None or pose.joint(wrist) is None:
        return False
    neck, hips = body.ends_px[Limb.TORSO]
    far = [_distance(pose.joints_px[joint].astype(np.float64), neck, hips) / body.scale_px for joint in (elbow, wrist)]
    return far[0] > _ELBOW_AWAY and far[1] > _WRIST_AWAY


def _distance(point: Floats, start: Floats, end: Floats) -> float:
    """The distance of a point from a line segment."""
    along = end - start
    u = float(np.clip((point - start) @ along / max(float(along @ along), 1e-6), 0, 1))
    return float(np.linalg.norm(point - start - u * along))


def _hand_views(body: PlacedBody, limb: Limb, opened: View, closed: View) -> set[View]:
    pose = body.pose
    points = hand_points(limb, pose.joints_px.astype(np.float64), pose.confidence > 0, body.scale_px)
    if points is None:
        return set()
    palm = float(np.linalg.norm(points[_KNUCKLE] - points[0]))
    reach = float(np.linalg.norm(points[list(_FINGERTIPS)] - points[0], axis=1).mean()) / palm
    return {opened} if reach >= _OPEN_FROM else {closed} if reach <= _CLOSED_TO else set()


def _all_inside(pose: Pose, joints: Sequence[int], frame_size: FrameSize) -> bool:
    seen = [pose.joint(joint) for joint in joints]
    return all(
        joint is not None and 0 <= joint[0] < frame_size.width_px and 0 <= joint[1] < frame_size.height_px
        for joint in seen
    )
