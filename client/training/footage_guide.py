"""Which views of a person were filmed so far, pose by pose: what a guide tells people to do next."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from motion.frame import FrameSize
from motion.pose import Pose
from motion.wardrobe.placing import Floats, measure_limbs, place
from training.footage_report.coverage import View, views_of

VIEWS: Final = tuple(view.value.replace(" ", "_") for view in View)
"""The words of all views."""
_MEASURED_POSES: Final = 300
_MEASURED_EVERY: Final = 10
_LONGEST_GAP_S: Final = 0.25
"""A pose stands for the time since the one before, but not for longer."""


@dataclass(slots=True)
class FootageGuide:
    """Counts for how long each view was seen, by the rules of the report on the footage.

    seconds: by the view's word, as in `VIEWS`; views that were not seen are missing.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    _poses: deque[Pose] = field(default_factory=lambda: deque(maxlen=_MEASURED_POSES))
    _lengths_px: Floats | None = None
    _count: int = 0
    _at_s: float | None = None

    def see(self, pose: Pose | None, at_s: float, frame_size: FrameSize) -> list[str]:
        """Take in the pose of the next frame, and return the words of the views that it shows.

        pose: in pixels of a frame of `frame_size`; None where no person was found. at_s: when it was captured.
        """
        since_s = 0.0 if self._at_s is None else min(max(0.0, at_s - self._at_s), _LONGEST_GAP_S)
        self._at_s = at_s
        if pose is None:
            return []
        self._poses.append(pose)
        self._count += 1
        # The lengths of the limbs are those of a person, and settle with the first poses that show them whole.
        if self._lengths_px is None or self._count % _MEASURED_EVERY == 0:
            try:
                self._lengths_px = measure_limbs(self._poses)
            except ValueError:  # no pose shows a whole limb
                return []
        seen = [view.value.replace(" ", "_") for view in views_of(place(pose, self._lengths_px), frame_size)]
        for view in seen:
            self.seconds[view] = self.seconds.get(view, 0.0) + since_s
        return sorted(seen)
