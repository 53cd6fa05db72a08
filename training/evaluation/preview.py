"""Pictures of held-out frames, so that one sees the actor appear: asked, drawn, real."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from motion.frame import Picture

_CAPTION_ROWS = 20


def preview_sheet(caption: str, columns: Sequence[Sequence[Picture]]) -> Picture:
    """One picture: a caption, below it one column per frame; all pictures `[H, W, 3]` uint8 RGB of one size.

    Raises ValueError without columns.
    """
    if not columns:
        raise ValueError("a preview needs at least one frame")
    sheet = np.concatenate([np.concatenate(list(column), axis=0) for column in columns], axis=1)
    strip = np.full((_CAPTION_ROWS, sheet.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, caption, (4, _CAPTION_ROWS - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, sheet], axis=0)
