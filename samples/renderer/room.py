"""The room: a back wall, a floor, one light, and a fixed camera."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from samples.renderer.appearance import Rgb, linear
from samples.renderer.camera import PerspectiveView
from samples.renderer.geometry import Floats, Vector, unit, vector
from samples.renderer.noise import noise


@dataclass(frozen=True, slots=True)
class Poster:
    """A framed picture on the wall: its left lower corner and its size, in metres."""

    x_m: float
    y_m: float
    width_m: float
    height_m: float
    paper: Rgb
    ink: Rgb


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    wall: Literal["plaster", "brick"]
    wall_rgb: Rgb
    lower_wall_rgb: Rgb
    floor: Literal["planks", "tiles"]
    floor_rgb: Rgb
    skirting_rgb: Rgb
    wall_z_m: float = -1.6
    posters: tuple[Poster, ...] = ()
    light: tuple[float, float, float] = (-0.55, 1.25, 0.95)
    """Direction to the light, not normalised."""
    field_of_view_deg: float = 28.0
    """The camera's vertical field of view."""

    def camera(self, width_px: int, height_px: int) -> PerspectiveView:
        """Return the room's camera: at chest height, five metres from the centre of the stage."""
        return PerspectiveView(
            width_px,
            height_px,
            position_m=vector(0, 1.20, 5.2),
            target_m=vector(0, 0.97, 0),
            field_of_view_deg=self.field_of_view_deg,
        )

    def towards_light(self) -> Vector:
        return unit(vector(*self.light))

    def surface_m(self, view: PerspectiveView) -> Floats:
        """Return the point of wall or floor at every pixel's centre, `[3, H*W]`."""
        x_px, y_px = np.meshgrid(np.arange(view.width_px) + 0.5, np.arange(view.height_px) + 0.5)
        origin, directions = view.rays(x_px.ravel().astype(np.float32), y_px.ravel().astype(np.float32))
        to_wall = (self.wall_z_m - origin[2]) / directions[2]
        to_floor = np.where(directions[1] < 0, -origin[1] / np.minimum(directions[1], -1e-6), np.inf)
        points: Floats = (origin + directions * np.minimum(to_wall, to_floor)).astype(np.float32)
        return points

    def paint(self, view: PerspectiveView) -> Floats:
        """Return the empty room, lit and antialiased, without the dancer's shadow: `[H, W, 3]` linear."""
        fine = 3
        large = self.camera(view.width_px * fine, view.height_px * fine)
        points = self.surface_m(large)
        x, y, z = points
        on_floor = y < 1e-4
        colour = np.where(on_floor[:, None], self._floor(x, z), self._wall(x, y))
        # Corners are darker, and the lamp on the left lights its side of the wall.
        corner = np.where(on_floor, 1 - 0.40 * np.exp((self.wall_z_m - z) / 0.16), 1 - 0.25 * np.exp(-y / 0.10))
        lamp = 0.80 + 0.28 * np.exp(-((x + 0.7) ** 2 + (y - 1.9) ** 2) / 3.0)
        colour = colour * (corner * np.where(on_floor, 1.0, lamp))[:, None]
        picture = colour.reshape(large.height_px, large.width_px, 3).astype(np.float32)
        small: Floats = cv2.resize(picture, (view.width_px, view.height_px), interpolation=cv2.INTER_AREA)
        return small

    def _wall(self, x: Floats, y: Floats) -> Floats:
        mottled = 0.88 + 0.10 * noise(x * 11, y * 11, 1) + 0.12 * noise(x * 2.3, y * 2.3, 2)
        if self.wall == "brick":
            row = np.floor(y / 0.09)
            u, v = np.mod(x / 0.26 + 0.5 * np.mod(row, 2), 1), np.mod(y / 0.09, 1)
            each = noise(np.floor(x / 0.26 + 0.5 * np.mod(row, 2)) * 3.3, row * 5.7, 7)
            mortar = (np.minimum(u, 1 - u) < 0.022) | (np.minimum(v, 1 - v) < 0.065)
            tone = np.where(mortar, 1.45, 0.72 + 0.50 * each) * (0.85 + 0.25 * noise(x * 45, y * 45, 8))
            colour = linear(self.wall_rgb) * tone[:, None]
            colour = np.where(mortar[:, None], colour * 0.35 + 0.20 * linear((214, 204, 190)), colour)
        else:
            colour = linear(self.wall_rgb) * mottled[:, None]
            panel = linear(self.lower_wall_rgb) * mottled[:, None]
            groove = np.abs(np.mod(x + 0.3, 0.6) - 0.3) < 0.006
            panel = np.where(groove[:, None], panel * 0.6, panel)
            colour = np.where((y < 0.62)[:, None], panel, colour)
            colour = np.where((np.abs(y - 0.63) < 0.02)[:, None], linear(self.skirting_rgb), colour)
        for poster in self.posters:
            colour = self._hang(poster, x, y, colour)
        return np.where((y < 0.10)[:, None], linear(self.skirting_rgb) * 0.85, colour)

    @staticmethod
    def _hang(poster: Poster, x: Floats, y: Floats, colour: Floats) -> Floats:
        u, v = (x - poster.x_m) / poster.width_m, (y - poster.y_m) / poster.height_m
        inside = (np.abs(u - 0.5) < 0.5) & (np.abs(v - 0.5) < 0.5)
        edge_m = np.minimum(np.minimum(u, 1 - u) * poster.width_m, np.minimum(v, 1 - v) * poster.height_m)
        disc = np.hypot((u - 0.42) * poster.width_m, (v - 0.60) * poster.height_m) < 0.24 * poster.width_m
        bars = (np.abs(np.mod(v * 14, 1) - 0.5) < 0.18) & (v < 0.30) & (np.abs(u - 0.5) < 0.36)
        paper = np.where((disc | bars)[:, None], linear(poster.ink), linear(poster.paper))
        paper = np.where((edge_m < 0.02)[:, None], linear((52, 44, 40)), paper)
        return np.where(inside[:, None], paper, colour)

    def _floor(self, x: Floats, z: Floats) -> Floats:
        if self.floor == "planks":
            plank = np.floor(x / 0.15)
            board = np.floor(z / 1.1 + plank * 0.37)
            grain = noise(x * 46 + plank * 7, z * 2.4 + plank * 13, 3)
            tone = 0.70 + 0.30 * grain + 0.32 * noise(plank * 3.7, board * 5.1, 4)
            seam = (np.abs(np.mod(x / 0.15, 1) - 0.5) > 0.482) | (np.mod(z / 1.1 + plank * 0.37, 1) < 0.006)
        else:
            u, v = np.mod(x / 0.42 + 0.5, 1), np.mod(z / 0.42, 1)
            each = noise(np.floor(x / 0.42 + 0.5) * 3.1, np.floor(z / 0.42) * 7.3, 9)
            tone = 0.80 + 0.22 * each + 0.18 * noise(x * 20, z * 20, 5)
            seam = (np.minimum(u, 1 - u) < 0.012) | (np.minimum(v, 1 - v) < 0.012)
        colour: Floats = linear(self.floor_rgb) * np.where(seam, tone * 0.55, tone)[:, None]
        return colour
