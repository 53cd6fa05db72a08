"""Smooth random texture that is identical in every run."""

import cv2
import numpy as np

from samples.renderer.geometry import Floats

_SIZE = 256
_CELLS = 64


def _table() -> Floats:
    """Return `[256, 256]` float32 in [0, 1], tileable: 64 random cells a side, smoothly enlarged."""
    cells = np.random.default_rng(20).random((_CELLS, _CELLS)).astype(np.float32)
    padded = np.pad(cells, 4, mode="wrap")
    scale = _SIZE // _CELLS
    large = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.clip(large[4 * scale : -4 * scale, 4 * scale : -4 * scale], 0, 1)


_TABLE = _table()


def noise(x: Floats, y: Floats, seed: int) -> Floats:
    """Return values in [0, 1] in the shape of `x`, with one bump per unit; each seed has its own texture."""
    scale = _SIZE / _CELLS
    column = np.floor(x * scale + 37 * seed).astype(np.intp) & (_SIZE - 1)
    row = np.floor(y * scale + 91 * seed).astype(np.intp) & (_SIZE - 1)
    value: Floats = _TABLE[row, column]
    return value
