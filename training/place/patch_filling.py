"""Fill holes in a picture with patches of its other parts, so that textures and edges continue.

Coarse to fine, each level alternates between two steps: find for every patch that touches a hole the most similar
patch outside (PatchMatch), and replace every pixel of the hole by an average of what these patches show there.
"""

# Shapes: H and W pixels of the picture, N patches that touch a hole, S pixels of a patch.
from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from motion.frame import Picture

_RADIUS_PX: Final = 3
"""Patches have 7 x 7 pixels."""
_STEPS: Final = np.argwhere(np.ones((2 * _RADIUS_PX + 1,) * 2)) - _RADIUS_PX
"""`[S, 2]`, a patch's pixels relative to its centre: row, column."""
_NEIGHBOURS: Final = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
_FEWEST_PX: Final = 40
"""The coarsest level keeps this many pixels on the shorter side."""
_ROUNDS: Final = ((5_000, 12), (15_000, 4), (50_000, 2))
"""How often a level with at most this many patches searches. A level with more only copies what its parent found."""
_AT_ONCE: Final = 8192
"""Patches are compared in blocks that stay in the processor's cache."""
_TEXTURE_WEIGHT: Final = 2.4
"""Weight of the texture's strength beside the colours. Without it smooth patches win everywhere (Newson, 3.3)."""
_ROW_WEIGHT: Final = 20_000.0
"""Added to a patch's mean squared difference: this times its squared distance in rows, as a fraction of the height.
Walls, floors and horizons run along rows; what is far above or below is at another depth."""
_TRUST_PER_PX: Final = 0.8
"""How much less a patch counts per pixel of distance from the known picture, so that the hole closes from its edge."""
_SEED: Final = 13

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def fill_holes(picture: Picture, hole: NDArray[np.bool_]) -> Picture:
    """Return a copy of the picture in which the holes show what their surroundings suggest.

    picture: `[H, W, 3]` uint8 RGB. hole: `[H, W]` bool. Pixels outside the hole are unchanged. The result depends on
    the arguments only. Without enough of a picture to copy from, the holes are filled with a smooth transition.

    Sources: Wexler, Shechtman, Irani 2007, "Space-Time Completion of Video"; Barnes et al. 2009, "PatchMatch"; the
    texture features and the width of the votes are those of Newson et al. 2014, "Video Inpainting of Complex Scenes".
    """
    if not hole.any():
        return picture.copy()
    levels = _pyramid(picture.astype(np.float32), hole)
    level = levels[-1]
    if level.sources.sum() < _STEPS.size:
        return _smooth(picture, hole)
    random = np.random.default_rng(_SEED)
    filled = _smooth(np.rint(level.colours).astype(np.uint8), level.hole).astype(np.float32)
    search = _Search(level, random)
    search.anywhere()
    for number, level in enumerate(reversed(levels)):
        if number:
            search = search.at_finer(level)
            filled = level.colours.copy()
            search.vote(filled)
        for _ in range(next((rounds for most, rounds in _ROUNDS if len(search.centres) <= most), 0)):
            search.improve(filled)
            search.vote(filled)
    search.measure(filled)
    search.vote(filled, sharp=True)
    result = picture.copy()
    result[hole] = np.rint(filled[: hole.shape[0], : hole.shape[1]][hole]).clip(0, 255)
    return result


@dataclass(frozen=True, eq=False)
class _Level:
    """One size of the picture. sources: the centres of patches without a pixel of the hole."""

    colours: Floats
    hole: NDArray[np.bool_]
    sources: NDArray[np.bool_]
    texture: Floats


def _level(colours: Floats, hole: NDArray[np.bool_]) -> _Level:
    touched = cv2.dilate(hole.astype(np.uint8), np.ones((2 * _RADIUS_PX + 1,) * 2, np.uint8))
    sources = touched == 0
    sources[:_RADIUS_PX] = sources[-_RADIUS_PX:] = False
    sources[:, :_RADIUS_PX] = sources[:, -_RADIUS_PX:] = False
    return _Level(colours, hole, sources, _texture(colours))


def _texture(colours: Floats) -> Floats:
    """`[H, W, 2]`: how much the brightness changes around each pixel along rows and columns."""
    grey = colours.mean(axis=2)
    changes = [np.abs(cv2.Sobel(grey, cv2.CV_32F, dx, dy, scale=0.25)) for dx, dy in ((1, 0), (0, 1))]
    return np.stack([cv2.blur(change, (7, 7)) for change in changes], axis=-1)


def _pyramid(colours: Floats, hole: NDArray[np.bool_]) -> list[_Level]:
    """Levels, finest first, until a patch on the coarsest is about as wide as the hole."""
    levels = [_level(colours, hole)]
    while min(hole.shape) >= 2 * _FEWEST_PX and _thickness_px(hole) > _RADIUS_PX:
        seen = np.where(hole, 0, 1).astype(np.float32)
        size = (-(-hole.shape[1] // 2), -(-hole.shape[0] // 2))
        weight = cv2.resize(seen, size, interpolation=cv2.INTER_AREA)
        shrunk = cv2.resize(colours * seen[..., None], size, interpolation=cv2.INTER_AREA)
        colours = np.asarray(shrunk / np.maximum(weight, 1e-3)[..., None], np.float32)
        hole = weight < 0.5
        level = _level(colours, hole)
        if not level.sources.any():
            break
        levels.append(level)
    return levels


def _thickness_px(hole: NDArray[np.bool_]) -> float:
    padded = np.pad(hole, 1).astype(np.uint8)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 3).max())


def _smooth(picture: Picture, hole: NDArray[np.bool_]) -> Picture:
    return np.asarray(cv2.inpaint(picture, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA), np.uint8)


class _Channels(NamedTuple):
    """A picture as patches read it.

    rows: `[P, 7, 21]` float32, a view: seven rows of seven pixels' colours from each pixel on, as its flat index.
    texture: `[H * W, 2]` float32, the texture's strength, with the weight it has beside a patch's colours.
    """

    rows: Floats
    texture: Floats


class _Search:
    """For each of `N` patches that touch a hole, the most similar source patch so far."""

    def __init__(self, level: _Level, random: np.random.Generator) -> None:
        self._level, self._random = level, random
        height_px, width_px = level.hole.shape
        self._size = np.array([height_px, width_px])
        touched = cv2.dilate(level.hole.astype(np.uint8), np.ones((2 * _RADIUS_PX + 1,) * 2, np.uint8)) > 0
        inside = np.zeros_like(touched)
        inside[_RADIUS_PX : height_px - _RADIUS_PX, _RADIUS_PX : width_px - _RADIUS_PX] = True
        self.centres: Indices = np.argwhere(touched & inside)
        self._number = np.full(touched.shape, -1)
        self._number[tuple(self.centres.T)] = np.arange(len(self.centres))
        self._source_list: Indices = np.argwhere(level.sources)
        self._in_patch: Indices = _STEPS @ np.array([width_px, 1])
        self.sources: Indices = np.zeros_like(self.centres)
        self._distance: Floats = np.full(len(self.centres), np.inf, np.float32)
        depth_px = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 3)
        self._trust = _TRUST_PER_PX ** depth_px[tuple(self.centres.T)].astype(np.float64)

    def anywhere(self) -> None:
        """Start from patches drawn at random."""
        self.sources = self._source_list[self._random.integers(len(self._source_list), size=len(self.centres))]

    def at_finer(self, level: _Level) -> _Search:
        """The same correspondences on the next finer level."""
        finer = _Search(level, self._random)
        finer.anywhere()
        coarse = np.minimum(finer.centres // 2, self._size - 1)
        limits = self._size - _RADIUS_PX - 1
        number = self._number[tuple(np.clip(coarse, _RADIUS_PX, limits).T)]
        known = number >= 0
        guess = finer.centres + 2 * (self.sources[number] - self.centres[number])
        known &= finer._allowed(guess)
        finer.sources = np.where(known[:, None], guess, finer.sources)
        return finer

    def measure(self, filled: Floats) -> tuple[_Channels, Floats]:
        """Compare the patches so far with the picture as it is filled now; return its channels and patches."""
        channels = self._channels(filled)
        patches = self._patches(channels, self.centres)
        self._distance = self._distances(channels, patches, np.arange(len(self.centres)), self.sources)
        return channels, patches

    def improve(self, filled: Floats) -> None:
        """One pass of PatchMatch: take over what fits a neighbour, then look around the best patch so far."""
        channels, patches = self.measure(filled)
        for jump_px in (4, 1):
            for step in _NEIGHBOURS * jump_px:
                number = self._number[tuple((self.centres + step).clip(0, self._size - 1).T)]
                self._try(channels, patches, number >= 0, self.sources[number] - step)
        reach_px = float(self._size.max()) / 2
        everywhere = np.ones(len(self.centres), bool)
        while reach_px >= 1:
            moved = self._random.uniform(-reach_px, reach_px, self.sources.shape).round().astype(np.int64)
            self._try(channels, patches, everywhere, self.sources + moved)
            reach_px /= 3

    def vote(self, filled: Floats, *, sharp: bool = False) -> None:
        """Replace every pixel of the hole by the average of what the patches over it show there, in place.

        sharp: the best of these patches decides almost alone.
        """
        finite = self._distance[np.isfinite(self._distance)]
        width = max(float(np.percentile(finite, 75)), 1.0) if len(finite) else 1.0
        votes = (
            np.exp(-self._distance / (width * (0.1 if sharp else 1.0))) if len(finite) else np.ones(len(self.centres))
        )
        votes = np.maximum(votes, 1e-9) * self._trust
        count = self._level.hole.size
        flat = self._level.colours.reshape(-1, 3)
        to, source = self._flat(self.centres), self._flat(self.sources)
        total, weight = np.zeros((3, count)), np.zeros(count)
        for step in self._in_patch.tolist():
            colours = flat[source + step]
            weight += np.bincount(to + step, votes, count)
            for channel in range(3):
                total[channel] += np.bincount(to + step, votes * colours[:, channel], count)
        known = (self._level.hole.ravel()) & (weight > 0)
        filled.reshape(-1, 3)[known] = (total[:, known] / weight[known]).T

    def _try(self, channels: _Channels, patches: Floats, where: NDArray[np.bool_], candidates: Indices) -> None:
        tried = np.flatnonzero(where & self._allowed(candidates))
        if not len(tried):
            return
        distance = self._distances(channels, patches, tried, candidates[tried])
        better = distance < self._distance[tried]
        self._distance[tried[better]] = distance[better]
        self.sources[tried[better]] = candidates[tried[better]]

    def _allowed(self, candidates: Indices) -> NDArray[np.bool_]:
        inside = ((candidates >= 0) & (candidates < self._size)).all(axis=1)
        at = candidates.clip(0, self._size - 1)
        return np.asarray(inside & self._level.sources[at[:, 0], at[:, 1]])

    def _channels(self, filled: Floats) -> _Channels:
        """Get the picture as it is filled now ready to be read in patches."""
        height_px, width_px = self._size.tolist()
        side_px = 2 * _RADIUS_PX + 1
        colours = np.ascontiguousarray(filled, np.float32)
        pixel, row = colours.strides[1], colours.strides[0]
        last = (height_px - side_px) * width_px + width_px - side_px
        # A row of a patch is one piece of memory, so it is copied at once.
        rows = as_strided(colours, (last + 1, side_px, 3 * side_px), (pixel, row, pixel // 3), writeable=False)
        texture = _texture(filled) * np.float32(_TEXTURE_WEIGHT) * np.float32(len(_STEPS) ** 0.5)
        return _Channels(rows, texture.reshape(-1, 2))

    def _flat(self, at: Indices) -> Indices:
        return np.asarray(at[:, 0] * self._size[1] + at[:, 1])

    def _patches(self, channels: _Channels, centres: Indices) -> Floats:
        """`[N, S * 3 + 2]`: the patch's colours, and the texture at its centre."""
        at = self._flat(centres)
        patches = np.empty((len(at), 3 * len(_STEPS) + 2), np.float32)
        patches[:, :-2] = channels.rows[self._flat(centres - _RADIUS_PX)].reshape(len(at), -1)
        patches[:, -2:] = channels.texture[at]
        return patches

    def _distances(self, channels: _Channels, patches: Floats, numbers: Indices, sources: Indices) -> Floats:
        """Mean squared difference of the numbered patches to these sources, `[len(numbers)]`."""
        found = np.empty(len(numbers), np.float32)
        for start in range(0, len(numbers), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            difference = self._patches(channels, sources[part])
            difference -= patches[numbers[part]]
            rows = (sources[part, 0] - self.centres[numbers[part], 0]) / self._size[0]
            found[part] = np.einsum("ns,ns->n", difference, difference) / len(self._in_patch) + _ROW_WEIGHT * rows**2
        return found
