"""The shadow on the floor: fitted to the footage, and drawn for any pose.

A far lamp throws an upright person's shadow onto the floor as the person's outline, slanted and flattened: a point at
some height above the ground lies that height times a constant to the side, and times another constant up the picture
(planar projected shadows; Blinn 1988, "Me and my (fake) shadow"). These constants, the softness of the edge and how
dark each place becomes are fitted to how much darker the footage is than the place at its brightest.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose

_Map = NDArray[np.float32]
_Mask = NDArray[np.uint8]
_Shape = tuple[float, float, float]
"""A shadow's lean, rise and softness, as in `Shadow`."""
_Ground = tuple[float, float]
"""The line y = first + second * x on which a person stands, in units of the picture's height."""

STRENGTH_SIDE: Final = 64
"""Rows and columns of the map of strengths."""
_ROWS: Final = 96
"""Shadows are soft: they are fitted in a picture of this height."""
_DRAWN_ROWS: Final = 128
"""They are drawn in one of this height, and enlarged."""
_FEWEST_FRAMES, _MOST_FRAMES = 8, 24
"""With fewer frames a shadow and the place look alike. More cost time and change little."""
_LEANS: Final = tuple(np.linspace(-1.6, 1.6, 17).tolist())
_RISES: Final = tuple(np.linspace(-0.4, 0.6, 11).tolist())
_NEAR: Final = (-0.6, -0.3, 0.0, 0.3, 0.6)
"""A second search goes this far around the best of these, in steps between them."""
_SOFT: Final = (0.015, 0.008, 0.03)
_FORESHORTENED: Final = 0.4
"""How long a square of the floor looks, beside its width: a shadow's edge is softer sideways."""
_LEAST_EXPLAINED: Final = 0.3
"""The share of all darkness that the shadow must explain, or the rest is leaves, clouds and noise."""

_FEET: Final = (
    (skeleton.R_ANKLE, skeleton.R_HEEL, skeleton.R_BIG_TOE, skeleton.R_SMALL_TOE),
    (skeleton.L_ANKLE, skeleton.L_HEEL, skeleton.L_BIG_TOE, skeleton.L_SMALL_TOE),
)
_APART: Final = 0.10
"""Feet closer than this, in heights of the picture, hardly slant the ground."""
_HIGHEST_STEP: Final = 0.05
"""A foot this much higher in the picture than the other, in heights of the picture, is raised, not farther away."""
_LEAST_SHADOW: Final = 0.5
"""A slanted ground shortens the shadow to this share of its length at most: a foot may be raised, not farther away."""
_JUMP: Final = 0.02
"""Feet this far above the highest ground of the footage, in heights of the picture, are in the air."""

_FAINT_MASK: Final = 20
_BESIDE: Final = 1 / 80
"""Room left around the person's mask, as a fraction of the picture's height."""
_LIT_PERCENTILE: Final = 80
_OFF_COLOUR: Final = 16.0
"""Of 255: how much a shadow's colour may differ from the place's at the same light."""
_BRIGHTER: Final = 1.2
_MOST_SHADE: Final = 0.8
"""Darker places are too noisy to be lit again."""
_FEW: Final = 0.05
"""Where squared opacities add up to this little, the shadow is unknown."""
_NOISE: Final = 6.0
"""Of 765, added to brightness: in the dark, ratios are noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Shadow:
    """How a person's shadow falls in the actor's crop. Lengths are in heights of the crop.

    lean, rise: how far to the right and up the picture a point's shadow lies, for each unit of its height above ground.
    softness: the standard deviation of its edge. highest_ground: the smallest y at which the person was seen to stand.
    strength: `[STRENGTH_SIDE, STRENGTH_SIDE]` uint8 over the whole crop: how dark the shadow is at each place; 0 not at
    all, 255 black.
    """

    lean: float
    rise: float
    softness: float
    highest_ground: float
    strength: _Mask


def draw_shadow(shadow: Shadow, coverage: _Mask, pose: Pose) -> _Mask:
    """Draw the shadow of a person as its opacity, `[H, W]` uint8, 255 for black.

    coverage: `[H, W]` uint8, 255 on the person. pose: in its pixels. Without a foot there is no shadow.
    """
    height_px, width_px = coverage.shape
    flattening = -_LEAST_SHADOW * shadow.rise / shadow.lean if shadow.lean else 0.0
    ground = _ground(pose, height_px, shadow.highest_ground - _JUMP, flattening)
    if ground is None:
        return np.zeros_like(coverage)
    size = (max(1, round(_DRAWN_ROWS * width_px / height_px)), _DRAWN_ROWS)
    outline = np.asarray(cv2.resize(coverage, size, interpolation=cv2.INTER_AREA), np.uint8)
    cast = _cast(outline, ground, shadow.lean, shadow.rise, shadow.softness)
    strength = cv2.resize(shadow.strength, size, interpolation=cv2.INTER_LINEAR)
    dark = cv2.multiply(cast, strength, scale=1 / 255)
    return np.asarray(cv2.resize(dark, (width_px, height_px), interpolation=cv2.INTER_LINEAR), np.uint8)


def lay_shadow_under(reference: NDArray[np.uint8], shadow: Shadow, pose: Pose) -> None:
    """Draw the shadow of the person in a reference, `[H, W, 4]` uint8 premultiplied, below the person, in place."""
    person = cv2.extractChannel(reference, 3)
    dark = draw_shadow(shadow, np.asarray(person, np.uint8), pose)
    beside = cv2.multiply(dark, cv2.bitwise_not(person), scale=1 / 255)
    cv2.insertChannel(cv2.add(person, beside), reference, 3)


def fit_shadow(pictures: Sequence[Picture], masks: Sequence[_Mask], poses: Sequence[Pose]) -> Shadow | None:
    """Fit the shadow to frames of a camera that stands still, or return None if they show none.

    pictures: `[H, W, 3]` uint8 RGB, as filmed. masks: `[H, W]` uint8, 255 on the person. poses: in their pixels.
    Reads at most 24 of the pictures, spread evenly.
    """
    standing = [index for index, pose in enumerate(poses) if _ground(pose, 1) is not None]
    if len(standing) < _FEWEST_FRAMES:
        return None
    at = np.unique(np.linspace(0, len(standing) - 1, _MOST_FRAMES).round().astype(int))
    chosen = [standing[index] for index in at]
    height_px = pictures[0].shape[0]
    grounds = [ground for index in chosen if (ground := _ground(poses[index], height_px)) is not None]
    outlines, lights = zip(*(_reduced(pictures[index], np.asarray(masks[index])) for index in chosen), strict=True)
    seen = _Seen.of(outlines, grounds, np.stack(lights), _brightest(np.stack(lights)))
    if not seen.darks.any():  # a drawn place without noise: no shape explains anything
        return None
    shape = max(product(_LEANS, _RISES, _SOFT[:1]), key=lambda values: seen.explained(values, 3))
    shape = seen.best_near(shape, 1.0)
    if seen.explained(shape) < _LEAST_EXPLAINED:
        return None
    for steps in (0.5, 0.25):  # a place in the shadow most of the time is brighter than it ever looks
        seen = _Seen.of(outlines, grounds, seen.lights, seen.lit_again(shape))
        shape = seen.best_near(shape, steps)
    highest = min(min(y, y + slope * outlines[0].shape[1] / _ROWS) for y, slope in grounds)
    side = (STRENGTH_SIDE, STRENGTH_SIDE)
    strength = cv2.resize(seen.strength(seen.casts(shape)) * 255, side, interpolation=cv2.INTER_AREA)
    return Shadow(*shape, highest, np.rint(strength).astype(np.uint8))


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What `N` frames show.

    outlines: `[h, w]` uint8 each. lights: `[N, h, w, 3]` float32, NaN on the person. darks: `[N, h, w]` float32, 0
    where not known. known: `[N, h, w]` uint8, 0 or 1.
    """

    outlines: Sequence[_Mask]
    grounds: Sequence[_Ground]
    lights: _Map
    darks: _Map
    known: _Mask

    @classmethod
    def of(cls, outlines: Sequence[_Mask], grounds: Sequence[_Ground], lights_NHW3: _Map, lit_HW3: _Map) -> _Seen:
        """Compare the frames with the lit place, `[h, w, 3]`, NaN where unknown."""
        darks = _darkness(lights_NHW3, lit_HW3)
        return cls(outlines, grounds, lights_NHW3, np.nan_to_num(darks), np.isfinite(darks).astype(np.uint8))

    def best_near(self, shape: _Shape, steps: float) -> _Shape:
        """The shape that explains most, among those around one, in parts of the first search's steps."""
        lean, rise, _ = shape
        leans = [lean + steps * part * (_LEANS[1] - _LEANS[0]) for part in _NEAR]
        rises = [rise + steps * part * (_RISES[1] - _RISES[0]) for part in _NEAR]
        return max(product(leans, rises, _SOFT), key=lambda values: self.explained(values, 2))

    def casts(self, shape: _Shape) -> _Map:
        """The shadow in every frame, `[N, h, w]` in [0, 1], 0 where the darkness is not known."""
        return np.stack([self._cast(index, shape) for index in range(len(self.outlines))])

    def lit_again(self, shape: _Shape) -> _Map:
        """The place without the shadow, `[h, w, 3]`."""
        casts = self.casts(shape)
        light = 1 - np.minimum(casts * self.strength(casts), _MOST_SHADE)
        return _median(self.lights / light[..., None])

    def explained(self, shape: _Shape, step: int = 1) -> float:
        """The share of the squared darkness that such a shadow explains, of every step-th frame."""
        both = square = total = 0.0
        for index in range(0, len(self.outlines), step):
            cast = self._cast(index, shape)
            both += float(np.vdot(cast, self.darks[index]))
            square += float(np.vdot(cast, cast))
            total += float(np.vdot(self.darks[index], self.darks[index]))
        return max(both, 0.0) ** 2 / max(square * total, 1e-9)

    def strength(self, casts: _Map) -> _Map:
        """How dark a full shadow is at each place, `[h, w]` in [0, 1]; where not seen, as elsewhere in the row.

        The slope of the darkness over the shadow, each less its mean at the place: so it does not matter that a place
        which is always in the shadow looks lit.
        """
        count = np.maximum(self.known.sum(axis=0), 1)
        darks, casts = self.darks - self.darks.sum(axis=0) / count, casts - casts.sum(axis=0) / count
        both, square = (darks * casts * self.known).sum(axis=0), (casts * casts * self.known).sum(axis=0)
        of_row = _ratio(both.sum(axis=1, keepdims=True), square.sum(axis=1, keepdims=True), 0.0)
        # The floor's rows are alike; up and down, it ends at a wall.
        both, square = (cv2.GaussianBlur(each, (0, 0), sigmaX=_ROWS / 8, sigmaY=_ROWS / 48) for each in (both, square))
        return np.clip(_ratio(both, square, of_row), 0, 1)

    def _cast(self, index: int, shape: _Shape) -> _Map:
        cast = _cast(self.outlines[index], self.grounds[index], *shape)
        return np.asarray(cv2.multiply(cast, self.known[index], scale=1 / 255, dtype=cv2.CV_32F), np.float32)


def _ratio(part: _Map, whole: _Map, otherwise: _Map | float) -> _Map:
    """Divide, and approach another value where the whole is close to 0."""
    return np.asarray((part + _FEW * otherwise) / (whole + _FEW), np.float32)


def _ground(pose: Pose, height_px: int, highest: float = -1e6, flattening: float = 0.0) -> _Ground | None:
    """The ground under the feet, at least at y = highest; None if no foot was seen.

    flattening: the steepest slope to this side, or 0 for any: steeper ones would flatten the shadow to a line.
    """
    feet = []
    for joints in _FEET:
        seen = [joint for joint in joints if pose.confidence[joint] > 0]
        if seen:
            points = pose.joints_px[seen].astype(np.float64) / height_px
            feet.append((float(points[:, 0].mean()), float(points[:, 1].max())))
    if not feet:
        return None
    lowest = max(y for _, y in feet)
    ys = [max(y, lowest - _HIGHEST_STEP, highest) for _, y in feet]
    x, y = sum(x for x, _ in feet) / len(feet), sum(ys) / len(ys)
    apart = feet[-1][0] - feet[0][0]
    slope = (ys[-1] - ys[0]) * apart / (apart**2 + _APART**2)
    if flattening and slope / flattening > 1:
        slope = flattening
    return y - slope * x, slope


def _cast(outline: _Mask, ground: _Ground, lean: float, rise: float, softness: float) -> _Mask:
    """Slant and flatten an outline, `[h, w]` uint8, onto the ground, and soften its edge."""
    rows = outline.shape[0]
    start, slope = ground
    # A point (x, y) is h = start + slope * x - y above the ground; its shadow lies at (x + lean * h, y + h - rise * h).
    down = 1 - rise
    move = np.array(
        [[1 + lean * slope, -lean, lean * start * rows], [down * slope, 1 - down, down * start * rows]], np.float64
    )
    move[:, 2] += move[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from the centre of the first pixel
    cast = cv2.warpAffine(outline, move, outline.shape[::-1], flags=cv2.INTER_LINEAR)
    along = softness * rows
    return np.asarray(cv2.GaussianBlur(cast, (0, 0), sigmaX=along, sigmaY=along * _FORESHORTENED), np.uint8)


def _reduced(picture: Picture, mask: _Mask) -> tuple[_Mask, _Map]:
    """Reduce the person's outline, `[h, w]`, and the picture, `[h, w, 3]`, NaN on the person."""
    height_px, width_px = mask.shape
    size = (max(1, round(_ROWS * width_px / height_px)), _ROWS)
    side_px = 2 * max(1, round(_BESIDE * height_px)) + 1
    beside = (cv2.dilate(mask, np.ones((side_px, side_px), np.uint8)) < _FAINT_MASK).astype(np.float32)
    weight = cv2.resize(beside, size, interpolation=cv2.INTER_AREA)[..., None]
    light = cv2.resize(picture * beside[..., None], size, interpolation=cv2.INTER_AREA)
    light = np.where(weight > 0.5, light / np.maximum(weight, 0.5), np.nan)
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8), light.astype(np.float32)


def _brightest(lights_NHW3: _Map) -> _Map:
    """The place where it is about brightest, `[h, w, 3]`; NaN where unknown."""
    brightness_NHW = lights_NHW3.sum(axis=3)
    # NumPy's percentile without NaN calls Python for every pixel: 1.4 s for 24 frames, where this takes 9 ms.
    ascending_NHW = np.sort(brightness_NHW, axis=0)  # NaN last
    last_HW = np.isfinite(brightness_NHW).sum(axis=0) - 1
    at_HW = np.maximum(last_HW, 0) * (_LIT_PERCENTILE / 100)
    below_HW = at_HW.astype(np.intp)
    low_HW, high_HW = (
        np.take_along_axis(ascending_NHW, index_HW[None], axis=0)[0]
        for index_HW in (below_HW, np.minimum(below_HW + 1, np.maximum(last_HW, 0)))
    )
    bright_HW = low_HW + (high_HW - low_HW) * (at_HW - below_HW)
    return _median(np.where((brightness_NHW >= 0.97 * bright_HW)[..., None], lights_NHW3, np.nan))


def _median(lights_NHW3: _Map) -> _Map:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(lights_NHW3, axis=0), np.float32)


def _darkness(lights_NHW3: _Map, lit_HW3: _Map) -> _Map:
    """How much darker each frame is than the lit place, `[N, h, w]`, 1 for black; NaN where unknown."""
    ratios_NHW = (lights_NHW3.sum(axis=3) + _NOISE) / (lit_HW3.sum(axis=2) + _NOISE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        ratios_NHW /= np.nanmedian(ratios_NHW, axis=(1, 2), keepdims=True)  # the exposure may vary
    off_colour_NHW = np.abs(lights_NHW3 - ratios_NHW[..., None] * lit_HW3).max(axis=3)
    ratios_NHW[(off_colour_NHW > _OFF_COLOUR) | (ratios_NHW > _BRIGHTER)] = np.nan
    return np.asarray(np.clip(1 - ratios_NHW, 1 - _BRIGHTER, 1), np.float32)
