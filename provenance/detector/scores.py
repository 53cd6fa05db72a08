"""How well scores tell synthetic from real: accuracy and AUC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def area_under_curve(real: ArrayLike, synthetic: ArrayLike) -> float:
    """Return how often a synthetic score is above a real one, over all pairs of both; a tie counts half.

    This is the area under the ROC curve: 1 is perfect, 0.5 is chance. Raises ValueError if either is empty.
    """
    low, high = np.sort(np.asarray(real, np.float64)), np.asarray(synthetic, np.float64)
    if not low.size or not high.size:
        raise ValueError("an area under the curve needs real and synthetic scores")
    below = np.searchsorted(low, high, side="left")
    not_above = np.searchsorted(low, high, side="right")
    return float((below + not_above).mean() / 2 / low.size)


def balanced_accuracy(real: ArrayLike, synthetic: ArrayLike, threshold: float) -> float:
    """Return the mean of both classes' accuracies, if a score of `threshold` or more means synthetic.

    Raises ValueError if either is empty.
    """
    parts: Sequence[NDArray[np.bool_]] = (np.asarray(real) < threshold, np.asarray(synthetic) >= threshold)
    if not all(part.size for part in parts):
        raise ValueError("an accuracy needs real and synthetic scores")
    return float(np.mean([part.mean() for part in parts]))
