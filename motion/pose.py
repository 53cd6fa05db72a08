"""`Pose`: the joints of one person in one frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion import skeleton

Joints = NDArray[np.float32]

MAX_POSITION_PX = 1e6
"""The largest plausible distance of a seen joint from the frame's corner, in x or y; larger values overflow when drawn.
Poses from clients beyond it are rejected, and transforms clip joints to it."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """One person in one frame; `J` is `skeleton.JOINT_COUNT` (137): BODY_25, face 70, left hand 21, right hand 21.

    joints_px: `[J, 2]` float32, x then y, in pixels of the original frame, from its upper left corner; 0 if unseen.
    confidence: `[J]` float32 in [0, 1]; 0 if the joint was not seen.

    Raises ValueError for other shapes, confidences outside [0, 1] and seen joints that are not finite. Positions of
    unseen joints are replaced by 0, so a pose never contains NaN.
    """

    joints_px: Joints
    confidence: Joints

    def __post_init__(self) -> None:
        joints_px = np.array(self.joints_px, dtype=np.float32)
        confidence = np.array(self.confidence, dtype=np.float32)
        expected = (skeleton.JOINT_COUNT, 2)
        if joints_px.shape != expected or confidence.shape != expected[:1]:
            raise ValueError(
                f"a pose takes joints {expected} and confidences {expected[:1]}, "
                f"got {joints_px.shape} and {confidence.shape}"
            )
        if not (confidence.min() >= 0 and confidence.max() <= 1):  # NaN is neither
            raise ValueError("a joint's confidence must lie in [0, 1]")
        joints_px[confidence == 0] = 0
        if not np.isfinite(joints_px).all():
            raise ValueError("a joint that was seen must have a finite position")
        joints_px.setflags(write=False)
        confidence.setflags(write=False)
        object.__setattr__(self, "joints_px", joints_px)
        object.__setattr__(self, "confidence", confidence)

    @classmethod
    def nothing_seen(cls) -> Pose:
        """Return a pose in which no joint was seen."""
        return cls(np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """Which joints were seen, `[J]` bool."""
        return np.asarray(self.confidence > 0)

    def joint(self, index: int) -> NDArray[np.float32] | None:
        """Return x and y in pixels, `[2]` float32, or None if the joint was not seen."""
        return self.joints_px[index] if self.confidence[index] > 0 else None

    def middle(self, first: int, second: int) -> NDArray[np.float64] | None:
        """Return the midpoint of two joints in pixels, `[2]` float64, or None unless both were seen."""
        if not (self.confidence[first] > 0 and self.confidence[second] > 0):
            return None
        return np.asarray((self.joints_px[first].astype(np.float64) + self.joints_px[second]) / 2)

    def transformed(self, scale_x: float, scale_y: float, shift_x_px: float = 0, shift_y_px: float = 0) -> Pose:
        """Return the pose with every seen joint at `(x * scale_x + shift_x_px, y * scale_y + shift_y_px)`."""
        moved = self.joints_px * np.array([scale_x, scale_y], np.float32) + np.array(
            [shift_x_px, shift_y_px], np.float32
        )
        return Pose(moved, self.confidence)

    def mirrored(self, line_x_px: float) -> Pose:
        """Return the pose mirrored about the vertical line at `line_x_px`; the person's left becomes the right."""
        order = list(skeleton.MIRRORED)
        joints_px = self.joints_px[order]
        joints_px[:, 0] = 2 * line_x_px - joints_px[:, 0]
        return Pose(joints_px, self.confidence[order])


def body_25(
    parts: NDArray[Any], pairs: Iterable[tuple[int, int]], middles: Iterable[tuple[int, int, int]]
) -> NDArray[Any]:
    """Convert a body of another format, `[N, 3]` of x, y and confidence, to BODY_25, `[25, 3]`.

    pairs, middles: as in `skeleton.OTHER_BODIES`. A midpoint, such as that of the hips, has the smaller confidence of
    its two joints, and is missing if either is.
    """
    body = np.zeros((skeleton.BODY_COUNT, 3), parts.dtype)
    for joint, source in pairs:
        body[joint] = parts[source]
    for joint, first, second in middles:
        both = parts[[first, second]]
        if (both[:, 2] > 0).all():
            body[joint] = [*both[:, :2].mean(axis=0), both[:, 2].min()]
    return body
