"""What a dancer is laid over: the actor's own place, nothing, a colour or a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from motion.frame import EncodedPicture, FrameSize, Picture
from serving.pictures.codec import DEFAULT_LIMITS, PictureLimits, decode_picture
from serving.pictures.compositing import covering

Colour = tuple[int, int, int]
"""Red, green and blue of sRGB, each 0 to 255."""


@dataclass(frozen=True, slots=True)
class Background:
    """What the person is laid over; at most one field is set. With none, it is the actor's own place.

    transparent: the person alone, with an opacity. picture: covers the answer's picture, centred.

    Raises ValueError for more than one field, and for a colour outside 0 to 255.
    """

    transparent: bool = False
    colour: Colour | None = None
    picture: EncodedPicture | None = None

    def __post_init__(self) -> None:
        if self.transparent + (self.colour is not None) + (self.picture is not None) > 1:
            raise ValueError("a background is transparent, a colour or a picture, not several of them")
        if self.colour is not None and not all(0 <= value <= 255 for value in self.colour):
            raise ValueError(f"red, green and blue are 0 to 255, got {self.colour}")

    @property
    def is_own_place(self) -> bool:
        """Whether the actor stays where they were filmed."""
        return self == Background()

    def drawn(self, size: FrameSize, limits: PictureLimits = DEFAULT_LIMITS, *, field: str) -> Picture | None:
        """Return the colour or the picture, `[H, W, 3]` uint8 RGB of this size; None for the other backgrounds.

        Raises BadPicture, as `decode_picture` does.
        """
        if self.colour is not None:
            return np.full((size.height_px, size.width_px, 3), self.colour, np.uint8)
        if self.picture is None:
            return None
        return covering(decode_picture(self.picture, limits, field=field), size.width_px, size.height_px)
