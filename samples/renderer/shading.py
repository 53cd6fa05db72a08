"""Shading of the figure, and its shadow on itself and on the room. Shapes: N points."""

import cv2
import numpy as np

from samples.renderer.appearance import GLOSS, Look
from samples.renderer.camera import ParallelView
from samples.renderer.figure import Figure
from samples.renderer.geometry import Floats, Ints, Vector, unit, vector
from samples.renderer.noise import noise
from samples.renderer.tracer import candidate_pixels, outline, trace

_SHADOW_PX = 240
_STAGE_M = 4.4
"""Side of the square that the light covers: the stage with a margin for raised arms."""
_KEY = np.array([1.04, 0.98, 0.90], np.float32)
_FILL = np.array([0.84, 0.92, 1.00], np.float32)
_SKY = np.array([0.93, 0.96, 1.00], np.float32)
_SOFT = ("skin", "face")
"""Materials with subsurface scattering, which softens the edge between light and shadow."""


class Shadow:
    """A shadow map: depths of the figure from the light, `[240, 240]`, infinite off the figure."""

    def __init__(self, figure: Figure, towards_light: Vector) -> None:
        self.view = light_view(towards_light)
        outlines = [outline(self.view, part) for part in figure.parts]
        column, row = candidate_pixels(self.view, outlines)
        x_px, y_px = column + np.float32(0.5), row + np.float32(0.5)
        distance_m, _ = trace(self.view, figure.parts, outlines, x_px, y_px, close_m=3e-3)
        self.depth_m = np.full((_SHADOW_PX, _SHADOW_PX), np.inf, np.float32)
        self.depth_m[row, column] = distance_m
        self.blocked = np.isfinite(self.depth_m).astype(np.float32)

    def on_figure(self, points_3N: Floats, bias_m: float = 0.03) -> Floats:
        """Return the blocked fraction of the light, `[N]` in [0, 1], averaged over nine nearby samples."""
        points = points_3N.T.astype(np.float64)
        place = self.view.project_px(points) - 0.5
        depth = self.view.distance_m(points) - bias_m
        blocked = np.zeros(points.shape[0], np.float32)
        for dx in (-0.9, 0.0, 0.9):
            for dy in (-0.9, 0.0, 0.9):
                column = np.clip(np.rint(place[:, 0] + dx), 0, _SHADOW_PX - 1).astype(np.intp)
                row = np.clip(np.rint(place[:, 1] + dy), 0, _SHADOW_PX - 1).astype(np.intp)
                blocked += self.depth_m[row, column] < depth
        return blocked / 9

    def on_room(self, place_px: tuple[Floats, Floats]) -> Floats:
        """Return `[H, W]` in [0, 1] for pixels whose wall or floor is at `place_px` in the shadow map.

        Seen from the light, the room is always behind the dancer, so the outline alone determines the shadow.
        """
        soft = cv2.GaussianBlur(self.blocked, (0, 0), 1.6)
        return cv2.remap(soft, place_px[0], place_px[1], cv2.INTER_LINEAR).astype(np.float32)


def light_view(towards_light: Vector) -> ParallelView:
    return ParallelView(_SHADOW_PX, towards_light=towards_light, centre_m=vector(0, 0.9, 0), span_m=_STAGE_M)


def crevices(depth_m: Floats, sigma_px: float) -> Floats:
    """Return ambient occlusion, `[H, W]` in [0, 1]: high where a pixel is deeper than its neighbourhood.

    depth_m: `[H, W]`, infinite off the figure.
    """
    inside = np.isfinite(depth_m).astype(np.float32)
    depth = np.where(inside > 0, depth_m, 0)
    weight = cv2.GaussianBlur(inside, (0, 0), sigma_px)
    around = cv2.GaussianBlur(depth, (0, 0), sigma_px) / np.maximum(weight, np.float32(1e-3))
    behind: Floats = np.clip((depth - around) / 0.05, 0, 1) * inside
    return behind


def shade(
    figure: Figure,
    look: Look,
    shadow: Shadow,
    towards_light: Vector,
    points_3N: Floats,
    directions_3N: Floats,
    part: Ints,
    crevice: Floats,
) -> Floats:
    """Return the linear light from the figure's surface to the camera, `[N, 3]`.

    part: `[N]` index into the figure's parts; crevice: `[N]` in [0, 1].
    """
    colour = np.zeros((part.size, 3), np.float32)
    gloss = np.zeros(part.size, np.float32)
    soft = np.zeros(part.size, np.float32)
    normals = np.zeros_like(points_3N)
    for index in np.unique(part):
        rays = np.flatnonzero(part == index)
        field = figure.parts[index].field
        points = points_3N[:, rays]
        normal = field.normals(points)
        nearest, local = field.nearest(points)
        around = np.arctan2(local[0], local[2]) * np.float32(0.12)
        along = local[1] + np.array([p.pattern_origin_m for p in field.primitives], np.float32)[nearest]
        head = figure.skeleton.head_axes.T @ (points - figure.skeleton.head_m[:, None]) / figure.head_scale
        chest = figure.skeleton.chest_axes.T @ (points - figure.skeleton.chest_m[:, None])
        materials = np.array([p.material for p in field.primitives])[nearest]
        for material in np.unique(materials):
            of = np.flatnonzero(materials == material)
            name = str(material)
            if name in ("top", "sleeve", "bottom"):
                normal[:, of] = _folds(normal[:, of], points[:, of], figure)
            own = head[:, of].astype(np.float32), chest[:, of].astype(np.float32)
            colour[rays[of]] = look.colours(name, around[of], along[of], *own)
            gloss[rays[of]] = GLOSS[name]
            soft[rays[of]] = name in _SOFT
        normals[:, rays] = normal
    light = unit(towards_light).astype(np.float32)
    fill = unit(vector(0.85, 0.30, 0.65)).astype(np.float32)
    blocked = shadow.on_figure(points_3N + normals * np.float32(0.012))
    facing = light @ normals
    wrap = 0.28 * soft
    key = np.clip((facing + wrap) / (1 + wrap), 0, 1) * (1 - 0.85 * blocked)
    open_sky = 1 - 0.65 * crevice
    lit = np.outer(key * 0.98, _KEY) + np.outer(np.clip(fill @ normals, 0, 1) * 0.22 * open_sky, _FILL)
    lit += np.outer((0.21 + 0.21 * (0.5 + 0.5 * normals[1])) * open_sky, _SKY)
    half = light[:, None] - directions_3N
    half /= np.linalg.norm(half, axis=0)
    shine = np.clip((normals * half).sum(axis=0), 0, 1) ** 30 * gloss * 0.6 * (1 - blocked)
    rim = (1 - np.clip(-(normals * directions_3N).sum(axis=0), 0, 1)) ** 3 * 0.06 * open_sky
    lit *= (1 + soft[:, None] * np.array([0.06, -0.01, -0.04], np.float32)).astype(np.float32)
    light_out: Floats = (colour * lit + (shine + rim)[:, None]).astype(np.float32)
    return light_out


def _folds(normal_3N: Floats, points_3N: Floats, figure: Figure) -> Floats:
    """Add folds of fabric: tilt the normals by the slope of long, slanting waves that move with the pelvis."""
    x, y, z = points_3N - figure.skeleton.pelvis_m[:, None].astype(np.float32)
    u, v, step = x * 15 + z * 9, y * 6 + x * 7, 0.5
    here = noise(u, v, 11)
    bent = normal_3N.copy()
    bent[0] -= 0.42 * (noise(u + step, v, 11) - here)
    bent[1] -= 0.42 * (noise(u, v + step, 11) - here)
    bent /= np.linalg.norm(bent, axis=0)
    return bent
