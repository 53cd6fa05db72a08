"""Sphere tracing: find the part of the figure that a ray hits, and where.

Each part is traced only for pixels near its outline. Shapes: N rays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samples.renderer.camera import View
from samples.renderer.figure import Part
from samples.renderer.geometry import Field, Floats, Ints

MISSED = np.float32(np.inf)
_CHUNK = 4096
"""Rays marched together; few enough that their arrays fit in the cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """Bounds of a part in a view: a box of pixels, and a range of distances along each pixel's ray.

    near_m, far_m: `[h, w]` float32; near is infinite where the part cannot appear.
    """

    left_px: int
    top_px: int
    near_m: Floats
    far_m: Floats

    def lookup(self, column: Ints, row: Ints) -> tuple[Floats, Floats]:
        """Return `near_m` and `far_m` at pixels of the picture; near is infinite outside the box."""
        height, width = self.near_m.shape
        x, y = column - self.left_px, row - self.top_px
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        x, y = np.where(inside, x, 0), np.where(inside, y, 0)
        return np.where(inside, self.near_m[y, x], MISSED), self.far_m[y, x]


def outline(view: View, part: Part) -> Outline | None:
    """Return a close fit around the part's primitives in `view`; None if it is outside the picture."""
    primitives = part.field.primitives
    starts = np.stack([p.origin_m for p in primitives])
    ends = np.stack([p.end_m for p in primitives])
    start_px, end_px = view.project_px(starts), view.project_px(ends)
    scale = np.maximum(view.px_per_m(starts), view.px_per_m(ends))
    # Blending expands the surface; another one and a half pixels cover subpixels at the edge.
    swell_m = 1.3 * part.field.blend_m
    reach_px = np.array([p.reach_m + swell_m for p in primitives]) * scale + 1.5
    start_m, end_m = view.distance_m(starts), view.distance_m(ends)
    reach_m = np.array([p.reach_m + swell_m + 0.02 for p in primitives])
    near_m, far_m = np.minimum(start_m, end_m) - reach_m, np.maximum(start_m, end_m) + reach_m

    size = np.array([view.width_px, view.height_px])
    low = np.clip(np.floor(np.minimum(start_px, end_px) - reach_px[:, None]), 0, size).astype(int)
    high = np.clip(np.ceil(np.maximum(start_px, end_px) + reach_px[:, None]), 0, size).astype(int)
    left, top = low.min(axis=0)
    right, bottom = high.max(axis=0)
    if right <= left or bottom <= top:
        return None
    near = np.full((bottom - top, right - left), MISSED, np.float32)
    far = np.zeros_like(near)
    for k in range(len(primitives)):
        (x0, y0), (x1, y1) = low[k], high[k]
        if x1 <= x0 or y1 <= y0:
            continue
        x = np.arange(x0, x1, dtype=np.float32)[None, :] + np.float32(0.5 - start_px[k, 0])
        y = np.arange(y0, y1, dtype=np.float32)[:, None] + np.float32(0.5 - start_px[k, 1])
        dx, dy = (np.float32(gap) for gap in (end_px[k] - start_px[k]).tolist())
        along = np.clip((x * dx + y * dy) / max(float(dx * dx + dy * dy), 1e-6), 0, 1)
        inside = (x - along * dx) ** 2 + (y - along * dy) ** 2 < np.float32(reach_px[k] ** 2)
        window = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        near[window] = np.where(inside, np.minimum(near[window], np.float32(near_m[k])), near[window])
        far[window] = np.where(inside, np.maximum(far[window], np.float32(far_m[k])), far[window])
    return Outline(int(left), int(top), near, far)


def march(
    field: Field, origins: Floats, directions: Floats, near_m: Floats, far_m: Floats, *, close_m: float, steps: int = 56
) -> Floats:
    """Return the distance along each ray to the field's surface, `[N]`, infinite where it misses.

    origins, directions: `[3, N]`, or `[3, 1]` when all rays share one.
    """
    count = near_m.size
    found = np.full(count, MISSED, np.float32)
    for begin in range(0, count, _CHUNK):
        rays = np.arange(begin, min(begin + _CHUNK, count))
        o = origins if origins.shape[1] == 1 else origins[:, rays]
        d = directions if directions.shape[1] == 1 else directions[:, rays]
        t, stop = near_m[rays].copy(), far_m[rays]
        for _ in range(steps):
            distance = field.distance_m(o + d * t)
            hit = distance < close_m
            found[rays[hit]] = t[hit]
            # The blended distance can be slightly too long, so steps are shorter.
            t += distance * np.float32(0.94)
            going = ~hit & (t < stop)
            if not going.any():
                break
            rays, t, stop = rays[going], t[going], stop[going]
            o = o if o.shape[1] == 1 else o[:, going]
            d = d if d.shape[1] == 1 else d[:, going]
    return found


def trace(
    view: View,
    parts: Sequence[Part],
    outlines: Sequence[Outline | None],
    x_px: Floats,
    y_px: Floats,
    *,
    close_m: float = 7e-4,
) -> tuple[Floats, Ints]:
    """Trace the ray through each of these points of the picture.

    Returns the distances of the first hits, `[N]`, infinite for a miss, and the parts' indices, `[N]`, -1 for a miss.
    """
    distance = np.full(x_px.size, MISSED, np.float32)
    hit_part = np.full(x_px.size, -1, np.intp)
    column, row = x_px.astype(np.intp), y_px.astype(np.intp)
    for index, (part, where) in enumerate(zip(parts, outlines, strict=True)):
        if where is None:
            continue
        near, far = where.lookup(column, row)
        rays = np.flatnonzero(near < distance)
        if rays.size == 0:
            continue
        origins, directions = view.rays(x_px[rays], y_px[rays])
        found = march(part.field, origins, directions, near[rays], far[rays], close_m=close_m)
        nearer = found < distance[rays]
        distance[rays[nearer]] = found[nearer]
        hit_part[rays[nearer]] = index
    return distance, hit_part


def candidate_pixels(view: View, outlines: Sequence[Outline | None]) -> tuple[Ints, Ints]:
    """Return columns and rows of all pixels in which a part may appear."""
    seen = np.zeros((view.height_px, view.width_px), bool)
    for where in outlines:
        if where is not None:
            height, width = where.near_m.shape
            seen[where.top_px : where.top_px + height, where.left_px : where.left_px + width] |= np.isfinite(
                where.near_m
            )
    row, column = np.nonzero(seen)
    return column, row
