"""The picture that the generator sees beside the label map: its own last one."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion.frame import Picture

KEPT_SECONDS: Final = 0.5
ZERO_LEVEL: Final = 128
"""The uint8 level that stands for 0 in the networks' range of -1 to 1."""


class Recurrence:
    """Hands out the previous picture: the generator's own, before the face stage (paper, section "temporal smoothing").

    It is the zero picture for the first frame, and again once nobody was there for more than half a second: by then the
    dancer stands elsewhere, and the old picture would show through. Dropped and bad frames change nothing.
    """

    def __init__(self, width_px: int, height_px: int) -> None:
        self._zero: Picture = np.full((height_px, width_px, 3), ZERO_LEVEL, np.uint8)
        self._previous: Picture | None = None
        self._nobody_since_s: float | None = None

    def previous(self, time_s: float) -> tuple[Picture, bool]:
        """`[H, W, 3]` uint8 for the frame at `time_s` of the source, and whether an older picture was given up."""
        gone_s = 0.0 if self._nobody_since_s is None else time_s - self._nobody_since_s
        self._nobody_since_s = None
        if self._previous is None:
            return self._zero, False
        if gone_s > KEPT_SECONDS:
            self._previous = None
            return self._zero, True
        return self._previous, False

    def drawn(self, picture: Picture) -> None:
        """The generator answered."""
        self._previous = picture

    def nobody(self, time_s: float) -> None:
        """The frame at `time_s` has nobody in it."""
        if self._nobody_since_s is None:
            self._nobody_since_s = time_s
