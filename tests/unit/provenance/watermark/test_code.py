"""The code of the watermark."""

from __future__ import annotations

import numpy as np
import pytest

from provenance.watermark.code import TILE_PX, Payload, frequencies, most_likely, tile


@pytest.mark.parametrize("number", [0, 1, 2**48 - 1, 0x123456789ABC])
def test_a_payload_is_read_from_its_own_pattern(number: int) -> None:
    """The spectrum of a tile at the right scale and position says what was put in, with a wide margin."""
    payload = Payload.from_number(number)
    at = frequencies()
    spectrum = np.fft.fft2(tile(payload))[at.rows, at.columns]
    (read,) = most_likely([spectrum / np.abs(spectrum)])
    assert read.payload == payload
    assert read.payload.number == number
    assert read.strength > 40
    assert read.margin > 5


def test_the_pattern_never_changes() -> None:
    """Pictures that were marked years ago must still be found: the pattern of a payload is fixed for good."""
    pattern = tile(Payload(0x5A3C, 0x12345678))
    assert pattern.shape == (TILE_PX, TILE_PX)
    corners = [pattern[place] for place in ((0, 0), (1, 200), (77, 13), (255, 255))]
    assert corners == pytest.approx([1.466314, 1.802686, 0.792656, 0.527938], abs=1e-5)


def test_patterns_repeat_without_a_seam() -> None:
    """The change from the last row to the first is no greater than between rows."""
    pattern = tile(Payload(1, 2))
    inside = np.abs(np.diff(pattern, axis=0)).mean()
    assert np.abs(pattern[0] - pattern[-1]).mean() < 1.3 * inside
    assert pattern.mean() == pytest.approx(0, abs=1e-9)
    assert pattern.std() == pytest.approx(1)


def test_noise_says_nothing() -> None:
    """What a spectrum of noise says has less strength than any search asks for."""
    random = np.random.default_rng(0)
    phases = np.exp(2j * np.pi * random.random((20, frequencies().rows.size)))
    assert max(read.strength for read in most_likely(list(phases))) < 8


@pytest.mark.parametrize(("key_id", "session"), [(-1, 0), (2**16, 0), (0, -1), (0, 2**32)])
def test_numbers_that_do_not_fit_are_refused(key_id: int, session: int) -> None:
    """The message names the number and its bits."""
    with pytest.raises(ValueError, match=r"(key_id has 16|session has 32) bits"):
        Payload(key_id, session)
