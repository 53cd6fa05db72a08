"""How a source's poses are estimated: by which backend, and in how much detail."""

from __future__ import annotations

from enum import Enum


class PoseDetail(Enum):
    """How much of a person is estimated."""

    BODY = "body"
    """The 25 body joints."""
    HOLISTIC = "holistic"
    """Body, face and hands in every frame."""
    LIVE = "live"
    """The body in every frame; face and hands in every n-th, moved along with the body in between."""


class PoseBackend(Enum):
    """Which network estimates the joints; dance/v1/pose.proto says what each can do."""

    MEDIAPIPE = "mediapipe"
    OPENPOSE = "openpose"
    RTMPOSE = "rtmpose"

    @property
    def finds_several(self) -> bool:
        """Whether it can find more than one person, so that a dancer must be chosen."""
        return self is not PoseBackend.MEDIAPIPE
