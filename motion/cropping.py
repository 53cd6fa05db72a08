"""Cutting rectangles out of pictures and laying them back; parts outside of the picture repeat its edge."""

from __future__ import annotations

import cv2
import numpy as np

from motion.frame import Picture


def cut_rectangle(picture: Picture, x_px: int, y_px: int, width_px: int, height_px: int) -> Picture:
    """`[height_px, width_px, 3]` uint8, a copy of the rectangle; it may stick out, there the nearest edge is repeated.

    picture: `[H, W, 3]` uint8.
    """
    rows, columns = picture.shape[:2]
    inside = x_px >= 0 and y_px >= 0 and x_px + width_px <= columns and y_px + height_px <= rows
    if inside:
        return picture[y_px : y_px + height_px, x_px : x_px + width_px].copy()
    from_rows = np.clip(np.arange(y_px, y_px + height_px), 0, rows - 1)
    from_columns = np.clip(np.arange(x_px, x_px + width_px), 0, columns - 1)
    return np.ascontiguousarray(picture[from_rows][:, from_columns])


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
