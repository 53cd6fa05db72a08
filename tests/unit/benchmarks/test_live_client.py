"""The glass of `benchmarks.live`: which frame a shown picture answers, and when the measurement begins and ends."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.frame_number import with_number
from benchmarks.live_client import Glass, with_strip
from motion.frame import Picture


def shown(number: int, side_px: int = 256, source_px: int = 512) -> Picture:
    """What a live session shows for the camera's frame `number`."""
    noise = np.random.default_rng(number)
    source = noise.integers(0, 256, (source_px, source_px, 3), np.uint8)
    actor = noise.integers(0, 256, (side_px, side_px, 3), np.uint8)
    return with_strip(with_number(source, number), actor)


@pytest.mark.parametrize(("side_px", "source_px"), [(256, 512), (512, 512), (512, 300)])
def test_the_number_of_the_answered_frame_is_read_from_the_shown_picture(side_px, source_px):
    """Whatever the sizes of the camera's picture and of the actor's."""
    glass = Glass(100, 100)
    for number in (3, 4, 900):
        assert glass.show(shown(number, side_px, source_px))
    assert list(glass.shown_at_s) == [3, 4, 900]


def test_a_repeated_picture_is_not_shown_again():
    """Answers without a picture repeat the last one, which keeps its time."""
    glass = Glass(10, 10)
    glass.show(shown(5))
    first = dict(glass.shown_at_s)
    glass.show(shown(5))
    assert glass.shown_at_s == first


def test_beginning_and_end_are_said_once(capsys):
    """The measurement counts from the first shown frame; what a slow chain never reaches is said at the end."""
    glass = Glass(2, 3)
    for number in (7, 8, 10, 11):
        glass.show(shown(number))
    assert (glass.first, glass.last) == (9, 12)
    said = [json.loads(line)["said"] for line in capsys.readouterr().out.splitlines()]
    assert said == ["measuring"]
    glass.close()
    glass.close()
    assert json.loads(capsys.readouterr().out) == {"said": "measured"}


def test_a_picture_without_a_number_is_an_error():
    """Nothing is measured that was not read."""
    with pytest.raises(ValueError, match="cannot be read"):
        Glass(1, 1).show(np.full((256, 256, 3), 90, np.uint8))
