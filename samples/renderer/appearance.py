"""A person's appearance: skin, hair, clothes, and the face painted on the head.

Colours are sRGB triples from 0 to 255 in definitions, and linear float32 in calculations.
Shapes: N points of the surface.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from samples.renderer.geometry import Floats
from samples.renderer.noise import noise
from samples.renderer.prints import Print

Rgb = tuple[int, int, int]
Brush = Callable[[Rgb | Floats, Floats], None]
"""Blends a colour into the face; the second argument `[N]` is its opacity."""


def linear(rgb: Rgb | Floats) -> Floats:
    """Convert sRGB from 0 to 255 to linear light from 0 to 1 (gamma 2.2)."""
    return ((np.asarray(rgb, np.float32) / 255) ** 2.2).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fabric:
    """Cloth: a ground colour, and a pattern in a second colour."""

    ground: Rgb
    accent: Rgb
    pattern: Literal["plain", "hoops", "dots", "denim"] = "plain"
    pitch_m: float = 0.05

    def colours(self, around_m: Floats, along_m: Floats) -> Floats:
        """Return `[N, 3]` linear colours at positions around and along the body."""
        ground, accent = linear(self.ground), linear(self.accent)
        if self.pattern == "hoops":
            wave = np.abs(np.mod(along_m / self.pitch_m, 1) - 0.5)
            amount = _step(0.20, 0.16, wave)
        elif self.pattern == "dots":
            row = np.floor(along_m / self.pitch_m)
            x = np.mod(around_m / self.pitch_m + 0.5 * np.mod(row, 2), 1) - 0.5
            amount = _step(0.30, 0.22, np.hypot(x, np.mod(along_m / self.pitch_m, 1) - 0.5))
        elif self.pattern == "denim":
            amount = 0.55 * noise(around_m * 120, along_m * 30, 1) * noise(around_m * 14, along_m * 7, 2)
        else:
            amount = np.zeros_like(along_m)
        weave = 0.94 + 0.12 * noise(around_m * 90, along_m * 90, 3)
        return (ground + (accent - ground) * amount[:, None]) * weave[:, None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """All colours and cuts of one person."""

    skin: Rgb
    hair: Rgb
    lips: Rgb
    iris: Rgb
    top: Fabric
    bottom: Fabric
    shoe: Rgb
    sole: Rgb
    sock: Rgb
    sleeve: float
    """The sleeve's end: 0.5 is half-way down the upper arm, 1 the elbow, 2 the wrist."""
    sleeves: Fabric | None = None
    """None: as the top."""
    chest_print: Print | None = None
    back_print: Print | None = None
    long_hair: bool = False
    bust_m: float = 0.0
    smile_m: float = 0.0
    """How far the corners of the mouth are raised."""

    def colours(self, material: str, around_m: Floats, along_m: Floats, head_3N: Floats, chest_3N: Floats) -> Floats:
        """Return `[N, 3]` linear colours of one material's points.

        head_3N, chest_3N: the points in the head's and in the chest's own axes, metres.
        """
        if material in ("top", "bottom", "sleeve"):
            fabric = {"top": self.top, "bottom": self.bottom, "sleeve": self.sleeves or self.top}[material]
            colour = fabric.colours(around_m, along_m)
            return self._printed(colour, chest_3N) if material == "top" else colour
        if material == "face":
            return self.paint_face(head_3N)
        if material == "hair":
            strands = noise(head_3N[0] * 240 + head_3N[2] * 110, head_3N[1] * 22 + head_3N[2] * 14, 4)
            return linear(self.hair) * (0.55 + 0.95 * strands)[:, None]
        rgb = {"skin": self.skin, "shoe": self.shoe, "sole": self.sole, "sock": self.sock}[material]
        return linear(rgb) * (0.96 + 0.08 * noise(around_m * 50, along_m * 50, 5))[:, None]

    def _printed(self, colour_N3: Floats, chest_3N: Floats) -> Floats:
        """Return the colours with the prints on chest and back, which are projected straight from front and behind."""
        x, y, z = chest_3N
        for printed, across, there in ((self.chest_print, x, z > 0), (self.back_print, -x, z < 0)):
            if printed is not None:
                ink = (printed.ink(across, y) * there)[:, None]
                colour_N3 = colour_N3 * (1 - ink) + linear(printed.rgb) * ink
        return colour_N3

    def paint_face(self, head_3N: Floats) -> Floats:
        """Return `[N, 3]` linear colours. Without painted eyes, brows and lips, trackers do not detect a face."""
        x, y, z = head_3N
        side = np.abs(x)
        skin = np.array(self.skin, np.float32)
        shade, blush = skin * 0.60, skin * np.array([1.0, 0.80, 0.76], np.float32)
        colour = np.repeat(linear(self.skin)[None], x.size, axis=0)
        colour *= (0.97 + 0.06 * noise(x * 120, y * 120, 6))[:, None]
        front = _step(0.015, 0.045, z)

        def brush(rgb: Rgb | Floats, amount: Floats) -> None:
            nonlocal colour
            weight = np.clip(amount * front, 0, 1)[:, None]
            colour = colour * (1 - weight) + linear(rgb) * weight

        brush(blush, 0.55 * _spot(side - 0.042, y + 0.034, 0.020, 0.016))
        brush(blush, 0.40 * _spot(x, y + 0.030, 0.011, 0.010))
        brush(shade, 0.55 * _spot(side - 0.031, y - 0.011, 0.022, 0.011))  # eye sockets
        brush(shade, 0.40 * _spot(side - 0.014, y - 0.004, 0.005, 0.016))  # beside the bridge of the nose
        self._paint_eyes(brush, side, x, y, shade)
        brow_y = 0.0305 - 8 * (side - 0.031) ** 2 + 0.06 * (side - 0.031)
        brow = np.exp(-(((y - brow_y) / 0.0038) ** 2)) * _step(0.010, 0.014, side) * _step(0.054, 0.046, side)
        brush(np.array(self.hair, np.float32) * 0.85, 0.95 * brow)
        brush((64, 30, 24), 0.85 * _spot(side - 0.0075, y + 0.0395, 0.0042, 0.0028))  # nostrils
        brush(shade, 0.50 * _spot(side - 0.0165, y + 0.033, 0.0040, 0.0080))
        self._paint_mouth(brush, side, x, y, shade)
        return colour

    def _paint_eyes(self, brush: Brush, side: Floats, x: Floats, y: Floats, shade: Floats) -> None:
        across, up = (side - 0.031) / 0.0165, (y - 0.0075) / 0.0074
        inside = 1 - across**2 - np.abs(up + 0.15 * across) ** 1.7  # above 0 within the lids
        eye = _step(0.0, 0.2, inside)
        from_iris = np.hypot(side - 0.031, y - 0.0080)
        brush((238, 234, 230), 0.96 * eye)
        brush(self.iris, eye * _step(0.0070, 0.0060, from_iris))
        brush((12, 9, 9), eye * _step(0.0036, 0.0028, from_iris))
        brush((255, 255, 255), eye * _step(0.0018, 0.0010, np.hypot(x - np.sign(x) * 0.031 + 0.0022, y - 0.0106)))
        lid = np.exp(-((inside / 0.24) ** 2))
        brush((28, 18, 16), 1.1 * lid * (up > 0))
        brush(shade, 0.7 * lid * (up <= 0))
        crease = np.exp(-(((y - 0.0195 + 8 * (side - 0.031) ** 2) / 0.0016) ** 2)) * (np.abs(side - 0.031) < 0.017)
        brush(shade, 0.55 * crease)

    def _paint_mouth(self, brush: Brush, side: Floats, x: Floats, y: Floats, shade: Floats) -> None:
        half, middle = 0.0250, -0.0665 + self.smile_m * (side / 0.0250) ** 2
        within = 1 - (side / half) ** 2
        bow = 1 - 0.30 * np.exp(-((side / 0.005) ** 2))
        upper = _step(0.0, 0.15, within - np.abs(y - middle) / (0.0085 * bow)) * (y > middle)
        lower = _step(0.0, 0.15, within - np.abs(y - middle) / 0.0100) * (y <= middle)
        brush(np.array(self.lips, np.float32) * 0.86, 0.9 * upper)
        brush(self.lips, 0.9 * lower)
        brush((66, 26, 24), 0.9 * np.exp(-(((y - middle) / 0.0014) ** 2)) * (side < half))
        brush(shade, 0.40 * _spot(x, y + 0.084, 0.020, 0.004))


GLOSS = {
    "skin": 0.09,
    "face": 0.10,
    "hair": 0.28,
    "top": 0.02,
    "sleeve": 0.02,
    "bottom": 0.02,
    "shoe": 0.15,
    "sole": 0.05,
    "sock": 0.0,
}
"""How strongly each material reflects the key light."""


def _step(start: float, end: float, value: Floats) -> Floats:
    """Ramp from 0 at `start` to 1 at `end`, which may be smaller than `start`."""
    return np.clip((value - start) / (end - start), 0, 1)


def _spot(dx: Floats, dy: Floats, width: float, height: float) -> Floats:
    return np.exp(-((dx / width) ** 2) - (dy / height) ** 2)
