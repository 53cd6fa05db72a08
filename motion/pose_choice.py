"""How poses are estimated: by which backend and in how much detail."""

from __future__ import annotations

from enum import Enum


class PoseDetail(Enum):
    """Which parts of a person are estimated."""

    BODY = "body"
    """The 25 body joints."""
    HOLISTIC = "holistic"
    """Body, face and hands in every frame."""
    LIVE = "live"
    """The body in every frame; face and hands in every n-th frame, moved along with the body in between."""


class PoseBackend(Enum):
    """Which network estimates the joints; dance/v1/pose.proto documents the differences."""

    MEDIAPIPE = "mediapipe"
    MEDIAPIPE_SOLUTION = "mediapipe-solution"
    OPENPOSE = "openpose"
    RTMPOSE = "rtmpose"

    @property
    def finds_several(self) -> bool:
        """Whether the backend can find more than one person, so that a dancer must be chosen."""
        return self in (PoseBackend.OPENPOSE, PoseBackend.RTMPOSE)
