"""The code of the watermark: how 48 bits become a pattern of spatial frequencies, and how they are read again.

It is direct-sequence spread spectrum (Cox et al., "Secure Spread Spectrum Watermarking for Multimedia", 1997), in the
frequencies of a square tile that repeats over the picture. One code word is always there, for finding scale and
position; four more, each one of 4096, carry 12 bits each. All words share all frequencies.

The words are public: everybody can find the watermark. What it says is not proof of who made a picture; a signature
is, and that is what Content Credentials are for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

TILE_PX: Final = 256
"""The side of the tile, in pixels of the marked picture."""
GRID: Final = 64
"""Samples along the tile's side when it is read: enough for its highest frequency."""
_LOWEST, _HIGHEST = 6, 28
"""Cycles for each tile, so wavelengths from 9 to 43 px: long enough for a scale of 60 % and for H.264 at CRF 28, short
enough to be hidden in the picture."""
_SYMBOLS: Final = 4
_BITS: Final = 12
_SYNC_SHARE: Final = 0.4
"""Of the energy: what the constant word has."""
_NAME: Final = "everybody-dance-watermark-1"

Spectrum = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Payload:
    """What a watermark says. key_id: of the server, 0 to 65535; 0 for a server without a key. session: 32 bits."""

    key_id: int
    session: int

    def __post_init__(self) -> None:
        if not 0 <= self.key_id < 2**16:
            raise ValueError(f"key_id has 16 bits, got {self.key_id}")
        if not 0 <= self.session < 2**32:
            raise ValueError(f"session has 32 bits, got {self.session}")

    @classmethod
    def from_number(cls, number: int) -> Payload:
        """Return the payload of 48 bits."""
        return cls(number >> 32, number & 0xFFFFFFFF)

    @property
    def number(self) -> int:
        """All 48 bits."""
        return self.key_id << 32 | self.session

    @property
    def key_name(self) -> str:
        """The key's id as people read it: four hexadecimal digits."""
        return f"{self.key_id:04x}"

    @property
    def session_name(self) -> str:
        """The session's hash as people read it: eight hexadecimal digits."""
        return f"{self.session:08x}"


@dataclass(frozen=True, slots=True)
class Frequencies:
    """The frequencies that carry the code, in cycles for each tile: `[K]` int, down and across."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


@cache
def frequencies() -> Frequencies:
    """Return the `K` frequencies; each carries two values of a code word, as its real and its imaginary part."""
    along = np.arange(-GRID // 2, GRID // 2)
    rows, columns = np.meshgrid(along, along, indexing="ij")
    radius = np.hypot(rows, columns)
    half = (rows > 0) | ((rows == 0) & (columns > 0))  # the other half is the conjugate
    chosen = half & (radius >= _LOWEST) & (radius <= _HIGHEST)
    return Frequencies(rows[chosen], columns[chosen])


@cache
def _packed_words(name: str, count: int) -> NDArray[np.uint8]:
    """`[count, bytes]`. From a hash, whose digits no release of a library ever changes. As floats: 150 MB."""
    row_bytes = -(-2 * frequencies().rows.size // 8)
    digits = hashlib.shake_256(f"{_NAME}/{name}".encode()).digest(count * row_bytes)
    return np.frombuffer(digits, np.uint8).reshape(count, row_bytes)


def _signs(packed: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Code words `[..., 2K]` of +1 and -1 from their bits."""
    return np.unpackbits(packed, axis=-1)[..., : 2 * frequencies().rows.size].astype(np.float32) * 2 - 1


def _sync() -> NDArray[np.float32]:
    return _signs(_packed_words("sync", 1)[0])


def _symbols(index: int) -> NDArray[np.uint8]:
    return _packed_words(f"symbol-{index}", 2**_BITS)


def tile(payload: Payload) -> NDArray[np.float64]:
    """Return the pattern, `[TILE_PX, TILE_PX]`, of mean 0 and standard deviation 1. It repeats without a seam."""
    at = frequencies()
    word = math.sqrt(_SYNC_SHARE) * _sync().astype(np.float64)
    for index in range(_SYMBOLS):
        symbol = payload.number >> (_BITS * index) & (2**_BITS - 1)
        word += _symbol_weight() * _signs(_symbols(index)[symbol])
    half = _as_spectrum(word)
    spectrum = np.zeros((TILE_PX, TILE_PX), np.complex128)
    spectrum[at.rows, at.columns] = half
    spectrum[-at.rows, -at.columns] = half.conj()
    pattern = np.asarray(np.fft.ifft2(spectrum).real, np.float64)
    return np.asarray(pattern / pattern.std(), np.float64)


@cache
def sync_spectrum() -> Spectrum:
    """Return the constant word as `[K]` complex numbers, which are not to be changed."""
    return _as_spectrum(_sync().astype(np.float64))


@dataclass(frozen=True, slots=True)
class Reading:
    """The payload that fits a spectrum best.

    strength: the correlation with its whole code word, in standard deviations of what a spectrum without a watermark
    gives. margin: by how many of them each symbol beats the next best one, of the symbol where that is least.
    """

    payload: Payload
    strength: float
    margin: float


def most_likely(aligned: Sequence[Spectrum]) -> list[Reading]:
    """Read spectra, `[K]` each, at the right scale and position.

    The signs of the words are independent of any picture, so by Hoeffding's inequality the correlation of an unmarked
    picture with one given word exceeds t with a probability below exp(-t^2 / 2).
    """
    values = np.stack([np.concatenate([spectrum.real, spectrum.imag]) for spectrum in aligned]).astype(np.float32)
    values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)
    strengths = math.sqrt(_SYNC_SHARE) * (values @ _sync())
    numbers, margins = [0] * len(aligned), [math.inf] * len(aligned)
    for index in range(_SYMBOLS):
        scores = values @ _signs(_symbols(index)).T  # one symbol's words at a time: they take 38 MB
        best = scores.argmax(axis=1)
        two = np.sort(np.partition(scores, -2, axis=1)[:, -2:], axis=1)
        strengths += _symbol_weight() * two[:, 1]
        numbers = [number | int(symbol) << (_BITS * index) for number, symbol in zip(numbers, best, strict=True)]
        margins = [min(margin, float(pair[1] - pair[0])) for margin, pair in zip(margins, two, strict=True)]
    return [
        Reading(Payload.from_number(number), float(strength), margin)
        for number, strength, margin in zip(numbers, strengths, margins, strict=True)
    ]


def _as_spectrum(word: NDArray[np.float64]) -> Spectrum:
    half = word.size // 2
    return np.asarray(word[:half] + 1j * word[half:], np.complex128)


def _symbol_weight() -> float:
    return math.sqrt((1 - _SYNC_SHARE) / _SYMBOLS)
