"""The picture that the generator sees beside the label map: its own last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from motion.frame import ZERO_LEVEL, Picture

KEPT_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the generator goes on from: its last picture, `[H, W, 3]` uint8 or None, and when it was in the source."""

    picture: Picture | None = None
    drawn_at_s: float = 0.0


NOTHING_RECALLED: Final = Recalled()


class Recurrence:
    """Hands out the previous picture: the generator's own, before the face stage (paper, section "temporal smoothing").

    It is the zero picture for the first frame, and again where the last one drawn is more than half a second old,
    whatever the frames between had: by then the dancer stands elsewhere, and the old picture would show through.
    """

    def __init__(self, width_px: int, height_px: int, recalled: Recalled = NOTHING_RECALLED) -> None:
        self._zero: Picture = np.full((height_px, width_px, 3), ZERO_LEVEL, np.uint8)
        self.recalled = recalled

    def previous(self, time_s: float) -> tuple[Picture, bool]:
        """`[H, W, 3]` uint8 for the frame at `time_s` of the source, and whether an older picture was given up."""
        picture = self.recalled.picture
        if picture is None:
            return self._zero, False
        if time_s - self.recalled.drawn_at_s > KEPT_SECONDS:
            self.recalled = NOTHING_RECALLED
            return self._zero, True
        return picture, False

    def drawn(self, picture: Picture, time_s: float) -> None:
        """The generator answered the frame at `time_s` of the source."""
        self.recalled = Recalled(picture, time_s)
