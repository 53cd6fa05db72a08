"""A centred median of joints: drops outliers and jitter, keeps the motion. Serving and preparation share it.

A table of joints is `[J, 3]` float32: x and y in pixels, and the confidence, 0 if the joint was not seen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Final

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float32]

MAX_WINDOW_FRAMES: Final = 7
MEDIAN_WINDOW_SECONDS: Final = 0.1


def window_half_frames(frame_rate_hz: float, window_seconds: float) -> int:
    """Return how many frames the median uses on either side.

    The window is the odd number of frames nearest to `window_seconds`, at most 7. Of two equally near it is the wider
    one, so 0.1 s is 3 frames from 20 fps on. For a single frame the result is 0, no median: at 5 fps a wider window
    would erase the motion.
    """
    return min(math.floor(window_seconds * frame_rate_hz / 2), MAX_WINDOW_FRAMES // 2)


def centred_median(window: Sequence[Table]) -> Table:
    """Return the median of each joint over the tables in which it was seen.

    window: an odd number of tables, in any order. An even number of sightings takes the mean of the middle two. A joint
    seen in half of the tables or fewer is unseen in the result.
    """
    tables_NJ3 = np.stack(window)
    seen_NJ = tables_NJ3[..., 2] > 0
    count_J = seen_NJ.sum(axis=0)
    ordered_NJ3 = np.sort(np.where(seen_NJ[..., None], tables_NJ3, np.float32(np.inf)), axis=0)
    kept_J = np.flatnonzero(2 * count_J > len(window))
    median = np.zeros_like(tables_NJ3[0])
    last = count_J[kept_J] - 1
    median[kept_J] = (ordered_NJ3[last // 2, kept_J] + ordered_NJ3[(last + 1) // 2, kept_J]) / 2
    return np.asarray(median, np.float32)


def smoothed(tables: Iterable[Table | None], half: int, jump_px: float) -> Iterator[Table | None]:
    """Smooth a stream of tables, one for each frame, by the median over `half` frames on either side of each.

    None for a frame without a person, which stays None; a neighbour without one is left out together with the one
    opposite, and so is a pair between which the person moved by jump_px or more: there was a cut. Frames near the ends
    have narrower windows.
    """
    window: deque[Table | None] = deque([None] * (2 * half + 1), 2 * half + 1)
    for taken, table in enumerate(chain(tables, repeat(None, half))):
        window.append(table)
        if taken >= half:
            yield _middle(window, half, jump_px)


def _middle(window: Sequence[Table | None], half: int, jump_px: float) -> Table | None:
    now = window[half]
    if now is None:
        return None
    used = [now]
    for distance in range(1, half + 1):
        before, after = window[half - distance], window[half + distance]
        if before is not None and after is not None and _moved_px(before, after) < jump_px:
            used += [before, after]
    return centred_median(used) if len(used) > 1 else now


def _moved_px(before: Table, after: Table) -> float:
    """How far the joints seen in both moved, in the mean."""
    both = (before[:, 2] > 0) & (after[:, 2] > 0)
    return float(np.hypot(*(after[both, :2] - before[both, :2]).T).mean()) if both.any() else math.inf
