"""Projections of points to pixels: a perspective camera, and the parallel view of a distant light.

Pixels count from the upper left corner; a pixel's centre is at .5. Both views have the same methods.
"""

import numpy as np

from samples.renderer.geometry import Floats, Vector, unit, vector


class PerspectiveView:
    """A pinhole camera."""

    def __init__(
        self, width_px: int, height_px: int, *, position_m: Vector, target_m: Vector, field_of_view_deg: float
    ) -> None:
        self.width_px, self.height_px = width_px, height_px
        self.position_m = position_m
        forward = unit(target_m - position_m)
        right = unit(np.cross(forward, vector(0, 1, 0)))
        self._axes = np.stack([right, np.cross(right, forward), forward])
        self._focal_px = 0.5 * height_px / float(np.tan(np.radians(field_of_view_deg) / 2))
        self._centre_px = np.array([width_px / 2, height_px / 2])

    def project_px(self, points_m: Vector) -> Vector:
        """Return x and y, `[n, 2]`, of points `[n, 3]`."""
        seen = (points_m - self.position_m) @ self._axes.T
        place: Vector = self._centre_px + seen[:, :2] * [1, -1] / seen[:, 2:] * self._focal_px
        return place

    def px_per_m(self, points_m: Vector) -> Vector:
        """Return the size of a metre at each point, `[n]`."""
        depth: Vector = (points_m - self.position_m) @ self._axes[2]
        return self._focal_px / depth

    def distance_m(self, points_m: Vector) -> Vector:
        """Return the distance along each point's ray, `[n]`."""
        distance: Vector = np.linalg.norm(points_m - self.position_m, axis=1)
        return distance

    def rays(self, x_px: Floats, y_px: Floats) -> tuple[Floats, Floats]:
        """Return origins `[3, 1]` or `[3, N]` and unit directions `[3, N]` or `[3, 1]`."""
        across = (x_px - self._centre_px[0]) / self._focal_px
        up = (self._centre_px[1] - y_px) / self._focal_px
        directions = self._axes.T @ np.stack([across, up, np.ones_like(across)])
        directions /= np.linalg.norm(directions, axis=0)
        return self.position_m[:, None].astype(np.float32), directions.astype(np.float32)


class ParallelView:
    """The view of a light at infinity: `span_m` by `span_m` around `centre_m`."""

    def __init__(self, size_px: int, *, towards_light: Vector, centre_m: Vector, span_m: float) -> None:
        self.width_px = self.height_px = size_px
        forward = -unit(towards_light)
        right = unit(np.cross(forward, vector(0, 1, 0)))
        self._axes = np.stack([right, np.cross(right, forward), forward])
        self._scale = size_px / span_m
        self._origin_m = centre_m - forward * span_m

    def project_px(self, points_m: Vector) -> Vector:
        seen = (points_m - self._origin_m) @ self._axes[:2].T
        place: Vector = np.array([self.width_px / 2, self.height_px / 2]) + seen * [1, -1] * self._scale
        return place

    def px_per_m(self, points_m: Vector) -> Vector:
        return np.full(len(points_m), self._scale)

    def distance_m(self, points_m: Vector) -> Vector:
        distance: Vector = (points_m - self._origin_m) @ self._axes[2]
        return distance

    def rays(self, x_px: Floats, y_px: Floats) -> tuple[Floats, Floats]:
        across = (x_px - self.width_px / 2) / self._scale
        up = (self.height_px / 2 - y_px) / self._scale
        origins = self._origin_m[:, None] + self._axes[:2].T @ np.stack([across, up])
        return origins.astype(np.float32), self._axes[2][:, None].astype(np.float32)


View = PerspectiveView | ParallelView
