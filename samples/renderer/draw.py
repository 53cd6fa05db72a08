"""Render one person in one room, in any key pose."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from samples.renderer.appearance import Look
from samples.renderer.choreography import KeyPose
from samples.renderer.figure import Figure, build_figure
from samples.renderer.geometry import Floats, Ints
from samples.renderer.proportions import BodyShape
from samples.renderer.room import Room
from samples.renderer.shading import Shadow, crevices, light_view, shade
from samples.renderer.tracer import candidate_pixels, outline, trace

Picture = npt.NDArray[np.uint8]
_SUBPIXELS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
_GRAIN = 0.006
"""Standard deviation of the simulated camera noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Rendering:
    """A picture and its ground truth.

    picture: `[H, W, 3]` uint8 RGB.
    mask: `[H, W]` float32 in [0, 1], the fraction of each pixel that the person covers.
    joints_px: `[25, 2]` float32 in BODY_25 order, x then y, whether visible or hidden.
    """

    picture: Picture
    mask: Floats
    joints_px: Floats


class Renderer:
    """Draws one person in one room. Deterministic: equal calls return equal pixels, in every process."""

    def __init__(self, body: BodyShape, look: Look, room: Room, width_px: int, height_px: int) -> None:
        self.body, self.look, self.room = body, look, room
        self.view = room.camera(width_px, height_px)
        self._light = room.towards_light()
        self._empty = room.paint(self.view)
        self._surface = room.surface_m(self.view)
        place = light_view(self._light).project_px(self._surface.T.astype(np.float64)).astype(np.float32) - 0.5
        shape = (height_px, width_px)
        self._shadow_place = place[:, 0].reshape(shape).copy(), place[:, 1].reshape(shape).copy()

    def render(self, pose: KeyPose, frame: int = 0) -> Rendering:
        """Draw the person in `pose`. `frame` seeds only the camera noise."""
        figure = build_figure(self.body, self.look, pose)
        light, mask = self._draw(figure)
        joints_px = self.view.project_px(figure.joints_m).astype(np.float32)
        return Rendering(_expose(light, frame), mask, joints_px)

    def _draw(self, figure: Figure) -> tuple[Floats, Floats]:
        """Return linear light `[H, W, 3]` and the mask `[H, W]`."""
        outlines = [outline(self.view, part) for part in figure.parts]
        column, row = candidate_pixels(self.view, outlines)
        centre = np.float32(0.5)
        shape = self._empty.shape[:2]
        depth_m = np.full(shape, np.inf, np.float32)
        part = np.full(shape, -1, np.intp)
        depth_m[row, column], part[row, column] = trace(
            self.view, figure.parts, outlines, column + centre, row + centre
        )
        shadow = Shadow(figure, self._light)
        crevice = np.maximum(crevices(depth_m, shape[0] / 170), crevices(depth_m, shape[0] / 50))

        def shaded(x_px: Floats, y_px: Floats, distance_m: Floats, hit_part: Ints) -> Floats:
            origins, directions = self.view.rays(x_px, y_px)
            points = origins + directions * distance_m
            here = crevice[y_px.astype(np.intp), x_px.astype(np.intp)]
            return shade(figure, self.look, shadow, self._light, points, directions, hit_part, here)

        light = self._shadowed_room(figure, shadow)
        mask = np.isfinite(depth_m).astype(np.float32)
        fine = _needs_subpixels(figure, depth_m, part)
        row, column = np.nonzero((part >= 0) & ~fine)
        light[row, column] = shaded(column + centre, row + centre, depth_m[row, column], part[row, column])

        # Four rays for each pixel with fine details.
        row, column = np.nonzero(fine)
        x_px = np.concatenate([column + np.float32(dx) for dx, _ in _SUBPIXELS])
        y_px = np.concatenate([row + np.float32(dy) for _, dy in _SUBPIXELS])
        distance_m, hit_part = trace(self.view, figure.parts, outlines, x_px, y_px)
        seen = np.flatnonzero(hit_part >= 0)
        colour = np.tile(light[row, column], (len(_SUBPIXELS), 1))
        colour[seen] = shaded(x_px[seen], y_px[seen], distance_m[seen], hit_part[seen])
        light[row, column] = colour.reshape(len(_SUBPIXELS), -1, 3).mean(axis=0)
        mask[row, column] = (hit_part >= 0).reshape(len(_SUBPIXELS), -1).mean(axis=0)
        return light, mask

    def _shadowed_room(self, figure: Figure, shadow: Shadow) -> Floats:
        """Return the room's light `[H, W, 3]` with the cast shadow and contact shadows under the feet."""
        left = 1 - 0.52 * shadow.on_room(self._shadow_place)
        for leg in figure.skeleton.legs.values():
            middle_m = leg.ankle_m + leg.forward * 0.05
            x, y, z = self._surface
            apart = (x - middle_m[0]) ** 2 + (z - middle_m[2]) ** 2 + 4 * y**2
            lifted_m = max(0.0, float(leg.ankle_m[1]) - self.body.ankle_height_m)
            strength = 0.55 * float(np.exp(-lifted_m * 9))
            left *= (1 - strength * np.exp(-apart / 0.016)).reshape(left.shape)
        return self._empty * left[:, :, None].astype(np.float32)


def _needs_subpixels(figure: Figure, depth_m: Floats, part: Ints) -> npt.NDArray[np.bool_]:
    """Mark edges of parts, steps in depth, face and hands, `[H, W]`: there detail is finer than a pixel."""
    box = np.ones((3, 3), np.uint8)
    parts = (part + 1).astype(np.uint8)
    edge = cv2.dilate(parts, box) != cv2.erode(parts, box)
    near = np.where(np.isfinite(depth_m), depth_m, 0)
    step = (cv2.dilate(near, box) - cv2.erode(near, box)) > 0.03
    detailed = [i for i, p in enumerate(figure.parts) if p.name == "head" or p.name.endswith("hand")]
    fine: npt.NDArray[np.bool_] = edge | step | np.isin(part, detailed)
    return fine


def _expose(light: Floats, frame: int) -> Picture:
    """Convert linear light to an sRGB picture `[H, W, 3]` with highlight roll-off and the noise of frame `frame`."""
    bright = np.maximum(light, 0) * 1.12
    curve = np.clip(bright * (1 + 0.10 * bright) / (1 + 0.28 * bright), 0, 1) ** np.float32(1 / 2.2)
    grain = np.random.default_rng(frame).standard_normal(light.shape, np.float32) * np.float32(_GRAIN)
    picture: Picture = (np.clip(curve + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
    return picture
