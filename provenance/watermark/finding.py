"""Finds the watermark in pictures, without the original, and says what it carries."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from provenance.watermark.code import GRID, TILE_PX, Payload, Spectrum, frequencies, most_likely, sync_spectrum

FALSE_ALARM: Final = 1e-6
"""The most likely that a search finds a watermark where there is none."""
_SCALE_STEP: Final = 0.008
"""Of the natural logarithm. It moves a picture of 512 px by two at its edges."""
_SCALE_STEPS: Final = range(-87, 94)
"""From half the size that the picture had when it was marked to 2.1 times that."""
_SCALE_STEPS_OF_LARGE: Final = range(-174, 94)
"""The same of a picture that was shrunk before it is searched, from a quarter on: it may have been marked as it was."""
_FINER: Final = (-0.004, 0.0, 0.004)
_EITHER: Final = (False, True)
"""As it is, and mirrored."""
_POSITIONS: Final = 128
"""Positions of the tile that are tried along each side."""
_CANDIDATES: Final = 8
"""Scales whose payload is read: those where the constant word stands out most."""
_LEGIBLE_MARGIN: Final = 2.0
"""Standard deviations between a symbol and the next best one. Noise alone gives 0.25 on average, this once in 3000."""
_LARGE_PX: Final = 1024
_BLUR: Final = 2.0
_LEAST_DEVIATION: Final = 1.5
"""Levels of Cb. Where a picture is flatter than this, noise and rounding are no better than where it is not."""

Plane = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FoundWatermark:
    """A watermark.

    scale: of the picture, relative to when it was marked. strength: the correlation, in standard deviations of an
    unmarked picture. false_alarm: an upper bound for the probability that a whole search of unmarked pictures finds as
    much. is_legible: whether the payload was read clearly; weak watermarks are there, with some bits wrong.
    is_mirrored: whether somebody mirrored the pictures.
    """

    payload: Payload
    scale: float
    strength: float
    false_alarm: float
    is_legible: bool
    is_mirrored: bool = False


class WatermarkSearch:
    """Collects the pictures of about a second, then searches them together: the pattern stands still, people do not.

    All pictures must have one size. A second is enough; more pictures make the search surer.
    """

    def __init__(self) -> None:
        self._sum: Plane | None = None
        self.pictures = 0

    def add(self, picture: Picture) -> None:
        """Add a picture, `[H, W, 3]` uint8 RGB. Raises ValueError if its size differs from the first one's."""
        blue_yellow = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb)[..., 2].astype(np.float32)
        if self._sum is None:
            self._sum = np.zeros_like(blue_yellow)
        if self._sum.shape != blue_yellow.shape:
            raise ValueError(f"a picture of {blue_yellow.shape} cannot be searched with those of {self._sum.shape}")
        self._sum += blue_yellow
        self.pictures += 1

    def find(self) -> FoundWatermark | None:
        """Return the watermark of the pictures, or None if they have none that is sure enough."""
        best = self.best()
        return best if best is not None and best.false_alarm < FALSE_ALARM else None

    def best(self, should_stop: Callable[[], bool] = lambda: False) -> FoundWatermark | None:
        """Return what fits best, however unsure; None without pictures.

        should_stop: called for each scale; True raises KeyboardInterrupt.
        """
        if self._sum is None:
            return None
        plane = self._sum / self.pictures
        shrunk = min(1.0, _LARGE_PX / min(plane.shape))
        if shrunk < 1:  # it has all that is looked for, and takes a fraction of the time
            size = round(plane.shape[1] * shrunk), round(plane.shape[0] * shrunk)
            plane = np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32)
        planes = (plane, np.ascontiguousarray(plane[:, ::-1]))
        peaks = []
        for step in _SCALE_STEPS if shrunk == 1 else _SCALE_STEPS_OF_LARGE:
            if should_stop():
                raise KeyboardInterrupt
            scale = math.exp(step * _SCALE_STEP)
            peaks += [(_peak(_spectrum(planes[mirrored], scale))[0], scale, mirrored) for mirrored in _EITHER]
        near = [
            (scale * math.exp(finer), mirrored)
            for _, scale, mirrored in sorted(peaks)[-_CANDIDATES:]
            for finer in _FINER
        ]
        best = max(_read(planes, near), key=lambda found: found.strength)
        return replace(best, scale=best.scale / shrunk)


def find_watermark(pictures: Iterable[Picture]) -> FoundWatermark | None:
    """Return the watermark that pictures of one size carry together; None if there is none."""
    search = WatermarkSearch()
    for picture in pictures:
        search.add(picture)
    return search.find()


def _spectrum(plane: Plane, scale: float) -> Spectrum:
    """The phases of the tile's frequencies, `[K]`, in a picture of `scale`: all repetitions together, whitened."""
    height_px, width_px = plane.shape
    sample_px = scale * TILE_PX / GRID
    rows, columns = max(8, round(height_px / sample_px)), max(8, round(width_px / sample_px))
    method = cv2.INTER_AREA if columns < width_px else cv2.INTER_LINEAR
    small = _whitened(np.asarray(cv2.resize(plane, (columns, rows), interpolation=method), np.float32))
    padded = np.zeros((-(-rows // GRID) * GRID, -(-columns // GRID) * GRID), np.float32)
    padded[:rows, :columns] = small
    folded = padded.reshape(padded.shape[0] // GRID, GRID, padded.shape[1] // GRID, GRID).sum((0, 2))
    at = frequencies()
    spectrum = np.fft.fft2(folded)[at.rows, at.columns]
    phases: Spectrum = spectrum / (np.abs(spectrum) + 1e-9)
    return phases


def _whitened(plane: Plane) -> Plane:
    """Without what changes slowly, and weaker where the picture itself varies: there it says little about a pattern."""
    rest = plane - cv2.GaussianBlur(plane, (0, 0), _BLUR)
    variance = cv2.GaussianBlur(rest * rest, (0, 0), _BLUR)
    return np.asarray(rest / (variance + _LEAST_DEVIATION**2), np.float32)


def _peak(spectrum: Spectrum) -> tuple[float, int, int]:
    """The best correlation with the constant word over all positions, and the position's row and column."""
    at = frequencies()
    product = np.zeros((_POSITIONS, _POSITIONS), np.complex128)
    product[at.rows, at.columns] = spectrum * sync_spectrum().conj()
    correlation = np.fft.ifft2(product).real
    row, column = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    return float(correlation[row, column]), int(row), int(column)


def _read(planes: tuple[Plane, Plane], near: Sequence[tuple[float, bool]]) -> list[FoundWatermark]:
    """What a picture, as it is and mirrored, says at each scale."""
    at = frequencies()
    aligned: list[Spectrum] = []
    for scale, mirrored in near:
        spectrum = _spectrum(planes[mirrored], scale)
        _, row, column = _peak(spectrum)
        aligned.append(spectrum * np.exp(2j * np.pi * (at.rows * row + at.columns * column) / _POSITIONS))
    return [
        FoundWatermark(
            payload=read.payload,
            scale=scale,
            strength=read.strength,
            false_alarm=false_alarm_of(read.strength),
            is_legible=read.margin >= _LEGIBLE_MARGIN,
            is_mirrored=mirrored,
        )
        for (scale, mirrored), read in zip(near, most_likely(aligned), strict=True)
    ]


def false_alarm_of(strength: float) -> float:
    """Return an upper bound for the probability that a whole search of unmarked pictures reaches `strength`.

    It is the bound for one code word (see `most_likely`) times everything that a search may try: each scale, each
    position, each of the 2^48 payloads, and the mirror.
    """
    tried = len(_SCALE_STEPS_OF_LARGE) * len(_FINER) * len(_EITHER) * _POSITIONS**2
    return min(1.0, math.exp(math.log(tried) + 48 * math.log(2) - max(strength, 0.0) ** 2 / 2))
