"""Pairs of consecutive frames: what the detector looks at.

A pair is `[6, S, S]` uint8: red, green and blue of a frame, then of the next one, both cut at the same place. The place
is where most has changed between the two, which is the dancer if the camera stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.crop import resized
from motion.frame import Picture

Pair = NDArray[np.uint8]

SIDE_PX: Final = 128
"""The side of a pair, `S`."""
WORKING_SIDE_PX: Final = 512
"""Larger pictures are shrunk until their shorter side is this long; smaller ones stay as they were drawn."""
STILL_LEVELS: Final = 0.25
"""Two frames that differ by less on average, in levels of 255, are the same frame shown twice."""
CUT_LEVELS: Final = 40.0
"""Two frames that differ by more on average are two shots."""


def at_working_size(picture: Picture) -> Picture:
    """Return `[H, W, 3]` uint8 RGB, shrunk to the working size, or enlarged if it is smaller than a pair."""
    height_px, width_px = picture.shape[:2]
    shorter_px = min(height_px, width_px)
    side_px = min(max(shorter_px, SIDE_PX), WORKING_SIDE_PX)
    if side_px == shorter_px:
        return picture
    scale = side_px / shorter_px
    return resized(picture, max(side_px, round(width_px * scale)), max(side_px, round(height_px * scale)))


def change_levels(before: Picture, after: Picture) -> float:
    """Return the mean difference of two pictures of one size, in levels of 255."""
    return float(cv2.absdiff(before, after).mean())


def busiest_place(before: Picture, after: Picture, side_px: int = SIDE_PX) -> tuple[int, int]:
    """Return column and row of the upper left corner of the square in which the two pictures differ most.

    Both are `[H, W, 3]` uint8 of one size and at least `side_px` high and wide.
    """
    change = cv2.absdiff(before, after).sum(axis=2, dtype=np.float32)
    # Noise and compression change every pixel a little: only what moved counts.
    moved = np.maximum(change - 4 * float(np.median(change)) - 6, 0)
    sums = cv2.integral(moved)
    within = (
        sums[side_px:, side_px:] - sums[:-side_px, side_px:] - sums[side_px:, :-side_px] + sums[:-side_px, :-side_px]
    )
    most = within.max()
    rows, columns = np.nonzero(within >= most * (1 - 1e-6))
    # If several squares hold all that moved, take the middle one.
    middle = len(rows) // 2
    return int(columns[middle]), int(rows[middle])


def cut_pair(before: Picture, after: Picture, column: int, row: int, side_px: int = SIDE_PX) -> Pair:
    """Return the pair at a place, `[6, side_px, side_px]` uint8."""
    square = slice(row, row + side_px), slice(column, column + side_px)
    return np.ascontiguousarray(np.concatenate([before[square], after[square]], axis=2).transpose(2, 0, 1))


def pairs_of(pictures: Iterable[Picture]) -> Iterator[Pair | None]:
    """Yield a pair, `[6, S, S]`, for every two consecutive pictures; None for a repeated frame and for a cut.

    pictures: `[H, W, 3]` uint8 RGB, all of one size.
    """
    before: Picture | None = None
    for picture in pictures:
        after = at_working_size(picture)
        if before is not None:
            usable = STILL_LEVELS <= change_levels(before, after) <= CUT_LEVELS
            yield cut_pair(before, after, *busiest_place(before, after)) if usable else None
        before = after


def sampled_pairs(pictures: Sequence[Picture], count: int, random: np.random.Generator, side_px: int) -> list[Pair]:
    """Return at most `count` pairs at random times, for training: `[6, side_px, side_px]` uint8.

    The place moves at random by up to a quarter of the side. side_px: larger than `SIDE_PX` leaves room to move.
    """
    small = [at_working_size(picture) for picture in pictures]
    found: list[Pair] = []
    for index in random.permutation(len(small) - 1):
        before, after = small[index], small[index + 1]
        side = min(side_px, *before.shape[:2])
        if len(found) == count:
            break
        if not STILL_LEVELS <= change_levels(before, after) <= CUT_LEVELS:
            continue
        moved = np.add(busiest_place(before, after, side), random.integers(-side // 4, side // 4 + 1, 2))
        furthest = (before.shape[1] - side, before.shape[0] - side)
        column, row = (int(place) for place in np.clip(moved, 0, furthest))
        pair = cut_pair(before, after, column, row, side)
        if side < side_px:  # a picture that was made small has no room around the pair
            margin = (side_px - side + 1) // 2
            pair = np.pad(pair, ((0, 0), (margin, margin), (margin, margin)), "reflect")[:, :side_px, :side_px]
        found.append(pair)
    return found
