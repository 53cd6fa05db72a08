"""`Track`: one person, followed from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from motion.pose_metrics import DEVIATIONS, body_size_px

Floats = NDArray[np.float64]

_SPEED_MEMORY: Final = 0.7
"""Weight of the previous speed in the speed estimate."""
_COASTING_SECONDS: Final = 0.5
"""How long a lost person's track keeps moving at its last speed; people do not walk straight for longer."""
_ORDINARY_ROOM: Final = 2.0
"""How far a joint may be from its predicted place between two frames, in multiples of its OKS deviation."""
_ROOM_PER_SECOND: Final = 4.0
"""How much that tolerance grows per second out of sight."""
_SIZE_KEPT_PER_SECOND: Final = 0.7
"""If less of a body is visible than before, its previous size is kept, shrinking by this factor per second."""
_LEAST_DEVIATION: Final = 0.07
"""Lower bound of the deviations: eyes are located precisely, but move as fast as the rest of the body."""
IN_SIGHT_SECONDS: Final = 0.2
"""Tracks seen this recently are matched before tracks that were lost earlier."""


@dataclass(slots=True)
class Track:
    """A tracked person. person_id: 0 until the person is confirmed.

    joints_px: `[25, 2]`, each body joint's last seen position, moved since with the whole body. known: `[25]`, which
    joints were ever seen.
    """

    person_id: int
    joints_px: Floats
    known: NDArray[np.bool_]
    size_px: float
    speed_px_s: Floats = field(default_factory=lambda: np.zeros(2))
    unseen_seconds: float = 0.0
    sightings: int = 0

    def predict(self, step_seconds: float) -> None:
        """Advance the track by one frame."""
        if self.unseen_seconds < _COASTING_SECONDS:
            self.joints_px = self.joints_px + self.speed_px_s * step_seconds
        self.unseen_seconds += step_seconds

    def similarity(self, pose: Pose) -> float:
        """Return the OKS with room for movement over the joints that both have; 0 without any."""
        both = self.known & pose.seen[skeleton.BODY]
        if not both.any():
            return 0.0
        room = _ORDINARY_ROOM + _ROOM_PER_SECOND * self.unseen_seconds
        size_px = max(self.size_px, body_size_px(pose), 1.0)
        apart_px = pose.joints_px[skeleton.BODY][both] - self.joints_px[both]
        allowed = 2 * np.maximum(DEVIATIONS[both], _LEAST_DEVIATION) * size_px * room
        deviations = np.hypot(apart_px[:, 0], apart_px[:, 1]) / allowed
        return float(np.exp(-(deviations**2) / 2).mean())

    def see(self, pose: Pose, step_seconds: float) -> None:
        """Update the track with the pose matched to it, after `predict`."""
        seen = pose.seen[skeleton.BODY]
        found_px = pose.joints_px[skeleton.BODY].astype(np.float64)
        both = seen & self.known
        if both.any():
            # The median ignores joints that were confused with others.
            missed_px = np.median(found_px[both] - self.joints_px[both], axis=0)
            self.joints_px = self.joints_px + missed_px
            if self.unseen_seconds > IN_SIGHT_SECONDS:
                self.speed_px_s = np.zeros(2)
            elif step_seconds > 0:
                self.speed_px_s = self.speed_px_s + (1 - _SPEED_MEMORY) * missed_px / step_seconds
        self.joints_px[seen] = found_px[seen]
        self.known = self.known | seen
        self.size_px = max(body_size_px(pose), self.size_px * _SIZE_KEPT_PER_SECOND**step_seconds)
        self.unseen_seconds = 0.0
        self.sightings += 1
