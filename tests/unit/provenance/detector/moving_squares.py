"""Clips for tests of the detector: a textured square that moves over a textured wall."""

from __future__ import annotations

import numpy as np

from motion.frame import Picture


def clip(frames: int = 6, side_px: int = 160, seed: int = 0) -> list[Picture]:
    """Consecutive pictures, `[side_px, side_px, 3]` uint8; the square is near the lower right corner."""
    random = np.random.default_rng(seed)
    wall = random.integers(90, 140, (side_px, side_px, 3)).astype(np.uint8)
    square = random.integers(150, 250, (40, 40, 3)).astype(np.uint8)
    pictures = []
    for number in range(frames):
        picture = wall.copy()
        row, column = side_px - 50, side_px - 60 + 3 * (number % 4)
        picture[row : row + 40, column : column + 40] = square
        pictures.append(picture)
    return pictures
