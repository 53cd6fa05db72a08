"""An actor's wardrobe at half its size, so that the sample actor can be measured with a network of 256x256."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.wardrobe.pieces import Wardrobe


def half_wardrobe(wardrobe: Wardrobe) -> Wardrobe:
    """Return the same pieces at half their size, for a network's picture of half the size."""
    corners_px = np.zeros_like(wardrobe.corners_px)
    pixels: list[NDArray[np.uint8]] = [np.zeros((0, 4), np.uint8)]
    for key_frame, row in enumerate(wardrobe.corners_px.tolist()):
        for layer, (x, y, width, height) in enumerate(row):
            piece = wardrobe.piece(key_frame, layer)
            if piece is None:
                continue
            size = max(1, width // 2), max(1, height // 2)
            corners_px[key_frame, layer] = (x // 2, y // 2, *size)
            pixels.append(cv2.resize(piece, size, interpolation=cv2.INTER_AREA).astype(np.uint8).reshape(-1, 4))
    return Wardrobe(
        wardrobe.width_px // 2,
        wardrobe.height_px // 2,
        wardrobe.frames,
        tuple(pose.transformed(0.5, 0.5, 0.0, 0.0) for pose in wardrobe.poses),
        wardrobe.limb_lengths_px / 2,
        corners_px,
        np.concatenate(pixels),
        wardrobe.hidden,
        wardrobe.flaws,
        wardrobe.shadow,
    )
