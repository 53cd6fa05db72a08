"""Which frames of the footage become key frames: the most different ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from motion.wardrobe.placing import Floats


def most_different(features: Floats, count: int) -> NDArray[np.int64]:
    """Choose up to `count` rows of `[F, D]` that are far from each other, and return their indices, ascending.

    Begins with the most usual row, and always adds the row farthest from those chosen (Gonzalez 1985). Unknown features
    (NaN) count as 0.
    """
    rows = np.nan_to_num(features)
    chosen = [int(((rows - rows.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = ((rows - rows[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((rows - rows[chosen[-1]]) ** 2).sum(axis=1))
        nearest[chosen] = -1
    return np.array(sorted(chosen), np.int64)
