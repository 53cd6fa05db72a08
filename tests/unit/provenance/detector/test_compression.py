"""Compression changes pictures as the way of a clip does, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from provenance.detector.compression import Compression, compressed, random_compressions
from tests.unit.provenance.detector.moving_squares import clip


def error_levels(pictures, steps) -> float:
    """The mean difference after the steps, in levels."""
    return float(np.abs(np.subtract(compressed(pictures, steps), pictures, dtype=np.float32)).mean())


@pytest.mark.parametrize(("better", "worse"), [(("jpeg", 90), ("jpeg", 50)), (("h264", 18), ("h264", 35))])
def test_worse_quality_changes_more(better, worse):
    """JPEG's quality falls with its number, H.264's rises with it."""
    pictures = clip(4)
    assert 0 < error_levels(pictures, [Compression(*better)]) < error_levels(pictures, [Compression(*worse)])


def test_nothing_to_do_changes_nothing():
    """Without steps, or with an empty one, the pictures stay."""
    pictures = clip(3)
    for steps in ([], [Compression()]):
        np.testing.assert_array_equal(compressed(pictures, steps), pictures)


def test_scale_comes_before_the_codec_and_h264_makes_sides_even():
    """160 pixels at 60 % are 96; at 70.6 % they are 113, of which H.264 keeps 112."""
    assert compressed(clip(2), [Compression(scale=0.6)])[0].shape == (96, 96, 3)
    assert compressed(clip(2), [Compression("h264", 20, 0.706)])[0].shape == (112, 112, 3)


def test_h264_keeps_every_frame_in_order():
    """The square of each frame is still where it was."""
    pictures = clip(4)
    for before, after in zip(pictures, compressed(pictures, [Compression("h264", 18)]), strict=True):
        assert float(np.abs(np.subtract(after, before, dtype=np.float32)).mean()) < 20


def test_random_steps_follow_the_seed():
    """The same seed takes the same way, and many seeds take all codecs, once and twice."""
    ways = [random_compressions(np.random.default_rng(seed)) for seed in range(60)]
    assert ways == [random_compressions(np.random.default_rng(seed)) for seed in range(60)]
    assert {len(way) for way in ways} == {0, 1, 2}
    assert {step.codec for way in ways for step in way} == {"jpeg", "h264"}


def test_a_step_is_told_in_words():
    """The words are those of the tables."""
    assert Compression().words == "as drawn"
    assert Compression("h264", 28, 0.6).words == "scaled to 60%, H.264 CRF 28"
