"""Cutting rectangles out of pictures and laying them back; parts outside of the picture repeat its edge."""

from __future__ import annotations

import cv2
import numpy as np

from motion.frame import Picture


def cut_rectangle(picture: Picture, x_px: int, y_px: int, width_px: int, height_px: int) -> Picture:
    """`[height_px, width_px, 3]` uint8, a copy of the rectangle; it may stick out, there the nearest edge is repeated.

    picture: `[H, W, 3]` uint8.
    """
    left, right, skip_x = _needed(x_px, width_px, picture.shape[1])
    top, bottom, skip_y = _needed(y_px, height_px, picture.shape[0])
    # Only what is used is padded: the picture itself may be large.
    used = picture[max(top, 0) : min(bottom, picture.shape[0]), max(left, 0) : min(right, picture.shape[1])]
    padding = (max(-top, 0), max(bottom - picture.shape[0], 0), max(-left, 0), max(right - picture.shape[1], 0))
    padded = cv2.copyMakeBorder(used, *padding, cv2.BORDER_REPLICATE)
    cut = padded[skip_y : skip_y + height_px, skip_x : skip_x + width_px]
    return np.ascontiguousarray(cut, dtype=np.uint8)


def _needed(start_px: int, length_px: int, size_px: int) -> tuple[int, int, int]:
    """A span grown until it meets an axis of size_px, its start and its end, and how much was put in front of it."""
    start = min(start_px, size_px - 1)
    return start, max(start_px + length_px, 1), start_px - start


def resized(picture: Picture, width_px: int, height_px: int) -> Picture:
    """`[height_px, width_px, 3]` uint8: area means where it shrinks, else linear between pixels."""
    rows, columns = picture.shape[:2]
    if (columns, rows) == (width_px, height_px):
        return picture
    shrinks = width_px <= columns and height_px <= rows
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width_px, height_px), interpolation=method), dtype=np.uint8)


def overlap(start_px: int, length_px: int, size_px: int) -> tuple[slice, slice]:
    """Where a span from start_px lies on an axis of size_px: its slice of the axis, and the same part of the span.

    Both slices are empty where they do not meet.
    """
    first = min(max(start_px, 0), size_px)
    last = min(max(start_px + length_px, first), size_px)
    return slice(first, last), slice(first - start_px, last - start_px)
