"""Pairs are cut where something moves, at one size, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from provenance.detector.pairs import (
    SIDE_PX,
    WORKING_SIDE_PX,
    at_working_size,
    busiest_place,
    pairs_of,
    sampled_pairs,
)
from tests.unit.provenance.detector.moving_squares import clip


def test_a_pair_shows_both_frames_at_the_same_place():
    """The first three channels are the frame before, the last three the one after, cut where the square moves."""
    before, after = clip(2)
    (pair,) = pairs_of([before, after])
    column, row = busiest_place(before, after)
    assert pair is not None
    assert pair.shape == (6, SIDE_PX, SIDE_PX)
    assert pair.dtype == np.uint8
    np.testing.assert_array_equal(pair[:3], before[row : row + SIDE_PX, column : column + SIDE_PX].transpose(2, 0, 1))
    np.testing.assert_array_equal(pair[3:], after[row : row + SIDE_PX, column : column + SIDE_PX].transpose(2, 0, 1))


def test_the_place_holds_what_moved():
    """Noise all over the picture does not pull the place away from the dancer."""
    random = np.random.default_rng(1)
    before, after = (picture.astype(np.int16) for picture in clip(2, side_px=256))
    noisy, moved = ((p + random.integers(-3, 4, p.shape)).clip(0, 255).astype(np.uint8) for p in (before, after))
    column, row = busiest_place(noisy, moved)
    assert column <= 256 - 60
    assert column + SIDE_PX >= 256 - 60 + 43
    assert row <= 256 - 50
    assert row + SIDE_PX >= 256 - 10


def test_repeated_frames_and_cuts_make_no_pair():
    """A frame shown twice says nothing about how it changes, and neither do two shots."""
    first, second = clip(2)
    other = np.full_like(first, 250)
    assert [pair is None for pair in pairs_of([first, first, second, other])] == [True, False, True]


@pytest.mark.parametrize(
    ("size", "working"), [((1080, 1920), (512, 910)), ((720, 512), (720, 512)), ((200, 180), (200, 180))]
)
def test_large_pictures_are_shrunk_and_others_stay(size, working):
    """The shorter side becomes 512 pixels, the most that quick actors draw."""
    assert at_working_size(np.zeros((*size, 3), np.uint8)).shape[:2] == working
    assert min(working) <= WORKING_SIDE_PX


def test_tiny_pictures_are_enlarged_to_a_pair():
    """Even the smallest clip is read."""
    small = [picture[::4, ::4] for picture in clip(2)]
    assert [pair.shape for pair in pairs_of(small) if pair is not None] == [(6, SIDE_PX, SIDE_PX)]


def test_pairs_for_training_follow_the_seed():
    """The same seed draws the same pairs, another seed others; all have room to move."""
    pictures = clip(12, side_px=200)
    one, again, other = (sampled_pairs(pictures, 4, np.random.default_rng(seed), 144) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)
    assert np.shape(one) == (4, 6, 144, 144)


def test_pairs_for_training_of_small_pictures_have_the_same_size():
    """Pictures smaller than the room are padded."""
    assert np.shape(sampled_pairs(clip(6, side_px=130), 3, np.random.default_rng(0), 144)) == (3, 6, 144, 144)
