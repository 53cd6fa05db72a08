"""The generator's second input: its own previous picture."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion.frame import ZERO_LEVEL, Picture
from orchestrator.pipeline.in_flight_frame import NOTHING_RECALLED, Recalled

KEPT_SECONDS: Final = 0.5


class Recurrence:
    """Provides the previous picture: the generator's own, before the face stage (paper, section "temporal smoothing").

    The first frame gets the zero picture. So does a frame whose previous picture is more than half a second old: by
    then the dancer has moved, and the old picture would show through.
    """

    def __init__(self, width_px: int, height_px: int, recalled: Recalled = NOTHING_RECALLED) -> None:
        self._zero: Picture = np.full((height_px, width_px, 3), ZERO_LEVEL, np.uint8)
        self.recalled = recalled

    def previous(self, time_s: float) -> tuple[Picture, bool]:
        """Return `[H, W, 3]` uint8 for the frame at `time_s` in the source, and whether an old one was discarded."""
        picture = self.recalled.picture
        if picture is None:
            return self._zero, False
        if time_s - self.recalled.drawn_at_s > KEPT_SECONDS:
            self.recalled = NOTHING_RECALLED
            return self._zero, True
        return picture, False

    def drawn(self, picture: Picture, time_s: float) -> None:
        """Keep the picture drawn for the frame at `time_s` in the source."""
        self.recalled = Recalled(picture, time_s)
