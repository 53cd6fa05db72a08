"""`Pose`: the joints of one person in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from motion import skeleton

Joints = NDArray[np.float32]

MAX_POSITION_PX = 1e6
"""A seen joint farther from the frame's corner than this, in x or in y, is a mistake, and would overflow what is drawn
from it. Poses that are sent are refused beyond it; where a transform leads beyond it, joints stop there."""


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """One person in one frame; `J` is `skeleton.JOINT_COUNT` (137): BODY_25, face 70, left hand 21, right hand 21.

    joints_px: `[J, 2]` float32, x then y, in pixels of the original frame, from its upper left corner; 0 where unseen.
    confidence: `[J]` float32 in [0, 1]; 0 where the joint was not seen.

    Raises ValueError for other shapes, for confidences outside of [0, 1] and for seen joints that are not finite.
    Unseen joints are stored as 0, whatever they were given as, so no NaN can hide in a pose.
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
        """A pose in which no joint was seen."""
        return cls(np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32))

    @property
    def seen(self) -> NDArray[np.bool_]:
        """`[J]` bool: which joints were seen."""
        return np.asarray(self.confidence > 0)

    def joint(self, index: int) -> NDArray[np.float32] | None:
        """`[2]` float32, x and y in pixels, or None where the joint was not seen."""
        return self.joints_px[index] if self.confidence[index] > 0 else None

    def transformed(self, scale_x: float, scale_y: float, shift_x_px: float = 0, shift_y_px: float = 0) -> Pose:
        """Every seen joint at `(x * scale_x + shift_x_px, y * scale_y + shift_y_px)`."""
        moved = self.joints_px * np.array([scale_x, scale_y], np.float32) + np.array(
            [shift_x_px, shift_y_px], np.float32
        )
        return Pose(moved, self.confidence)
