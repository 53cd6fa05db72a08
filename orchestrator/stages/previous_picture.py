"""The generator's second input: its own previous picture."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion.crop import resized
from motion.frame import ZERO_LEVEL, FrameSize, Picture
from orchestrator.pipeline.in_flight_frame import NOTHING_RECALLED, Recalled

KEPT_SECONDS: Final = 0.5


class Recurrence:
    """Provides the previous picture: the generator's own, before the face stage (paper, section "temporal smoothing").

    The first frame gets the zero picture. So does a frame whose previous picture is more than half a second old: by
    then the dancer has moved, and the old picture would show through.
    """

    def __init__(self, recalled: Recalled = NOTHING_RECALLED) -> None:
        self.recalled = recalled

    def previous(self, time_s: float, size: FrameSize) -> tuple[Picture, bool]:
        """Return the picture for the frame at `time_s` in the source, and whether an old one was discarded.

        It is `[H, W, 3]` uint8 of `size`: a picture of another size is resized, so that the dance goes on.
        """
        picture = self.recalled.picture
        if picture is None:
            return _zero(size), False
        if time_s - self.recalled.drawn_at_s > KEPT_SECONDS:
            self.recalled = NOTHING_RECALLED
            return _zero(size), True
        return resized(picture, size.width_px, size.height_px), False

    def drawn(self, picture: Picture, time_s: float) -> None:
        """Keep the picture drawn for the frame at `time_s` in the source."""
        self.recalled = Recalled(picture, time_s)


def _zero(size: FrameSize) -> Picture:
    return np.full((size.height_px, size.width_px, 3), ZERO_LEVEL, np.uint8)
