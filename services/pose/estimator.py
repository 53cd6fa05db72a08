"""What every pose backend has in common: its interface, its rules and its results."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseRules:
    """What counts as a person and as a seen joint.

    The defaults were measured: at a detection confidence of 0.5, MediaPipe takes the foot of a table for a person.
    """

    min_detection_confidence: float = 0.7
    min_tracking_confidence: float = 0.5
    min_height_fraction: float = 0.25
    """Smaller people are not reported: the longer side of the body's box, as a fraction of the frame's height."""
    min_visibility: float = 0.3
    """A body joint less visible than this is unseen."""
    face_and_hands_every_n: int = 3
    """Used by `PoseDetail.LIVE`."""

    def __post_init__(self) -> None:
        for name in ("min_detection_confidence", "min_tracking_confidence", "min_height_fraction", "min_visibility"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.face_and_hands_every_n < 1:
            raise ValueError(f"face_and_hands_every_n must be at least 1, got {self.face_and_hands_every_n}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The people found in one picture of `[H, W]` pixels.

    people: one entry per person. MediaPipe finds at most one.
    dancer_index: into `people`; -1 if there are no people or the dancer is lost.
    compute_seconds: time spent on this picture.
    face_and_hands_carried: they were moved along from an earlier picture, not detected (`PoseDetail.LIVE`).
    mask: `[H, W]` float32 in [0, 1], 1 where a pixel belongs to the person; None if not requested or without a person.
    person_ids: in the order of `people`; empty if people are not tracked.
    dancer_lost: a dancer was chosen earlier and is not in this picture. dancer_changed: another dancer was chosen.
    state_after: everything that the estimator knows of the pictures so far; another one can begin with it. Empty if it
    knows nothing, or if its backend cannot say it. At most 64 KiB.
    """

    people: list[Pose]
    dancer_index: int
    compute_seconds: float
    face_and_hands_carried: bool = False
    mask: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    person_ids: tuple[int, ...] = ()
    dancer_lost: bool = False
    dancer_changed: bool = False
    state_after: bytes = field(default=b"", repr=False)

    @property
    def dancer(self) -> Pose | None:
        """The pose at `dancer_index`; None without a dancer."""
        return self.people[self.dancer_index] if self.dancer_index >= 0 else None


@dataclass(frozen=True, slots=True)
class Spent:
    """Time spent on a picture before the network's output was turned into people."""

    prepare_seconds: float = 0.0
    """Converting the picture to the network's input."""
    network_seconds: float = 0.0


class PeopleEstimator(Protocol):
    """A pose backend: finds the people in the pictures of one video. Used by one thread at a time.

    It is created with the `state_after` of another estimator of the same backend, whose pictures it continues; the
    detail may differ. Empty bytes begin a new video. It raises ValueError, whose text follows "is", for any other
    state.
    """

    @property
    def detail(self) -> PoseDetail:
        """Which parts of a person it finds."""
        ...

    @property
    def spent(self) -> Spent:
        """The time spent on the last picture."""
        ...

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Find the people in the next picture, `[H, W, 3]` uint8 RGB. A picture without people is not an error.

        time_s: when it was captured; None if unknown.
        """
        ...

    def close(self) -> None:
        """Release all resources; a second call does nothing."""
        ...
