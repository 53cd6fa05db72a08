"""The comparison picture: source, skeleton, perhaps the actor's moved limbs, and actor side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from motion.frame import Picture, RgbaPicture
from serving.pictures.compositing import laid_over, premultiplied

_LEAST_HEIGHT_PX: Final = 256
_MOST_SOURCE_HEIGHT_PX: Final = 512
_GAP_PX: Final = 6
_GAP_GREY: Final = 24
_SQUARE_PX: Final = 16
_SQUARE_GREYS: Final = (150, 200)


def on_chequers(picture: RgbaPicture) -> Picture:
    """Return a picture with straight alpha over the grey squares that stand for transparency, `[H, W, 3]` uint8."""
    rows, columns = np.indices(picture.shape[:2]) // _SQUARE_PX
    grey = np.where((rows + columns) % 2, *_SQUARE_GREYS).astype(np.uint8)
    return laid_over(premultiplied(picture), np.dstack([grey] * 3))


def on_white(picture: RgbaPicture) -> Picture:
    """Return a picture with straight alpha over white, `[H, W, 3]` uint8."""
    return laid_over(premultiplied(picture), np.full((*picture.shape[:2], 3), 255, np.uint8))


def side_by_side(source: Picture, drawn: Sequence[Picture | None], actor: Picture) -> Picture:
    """`[H, W, 3]` uint8 RGB: panels of one height with thin dark gaps; each keeps its aspect ratio.

    drawn: the panels between source and actor, such as the label map. None for a frame without a person; the panel is
    then white, in the actor's shape.
    """
    panels = [source, *(np.full_like(actor, 255) if panel is None else panel for panel in drawn), actor]
    height_px = panel_height_px(source.shape[0], actor.shape[0])
    gap = np.full((height_px, _GAP_PX, 3), _GAP_GREY, np.uint8)
    parts = [part for panel in panels for part in (gap, _of_height(panel, height_px))]
    return np.hstack(parts[1:])


def panel_height_px(source_height_px: int, actor_height_px: int) -> int:
    """The height of all panels: at least the actor's; a larger source raises it to 512 at most. Always even."""
    height_px = max(actor_height_px, min(source_height_px, _MOST_SOURCE_HEIGHT_PX), _LEAST_HEIGHT_PX)
    return height_px + height_px % 2


def _of_height(picture: Picture, height_px: int) -> Picture:
    if picture.shape[0] == height_px:
        return picture
    width_px = max(2, round(picture.shape[1] * height_px / picture.shape[0]))
    interpolation = cv2.INTER_AREA if picture.shape[0] > height_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=interpolation), np.uint8)
