from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.pairs import Pairs, split_footage


@given(st.integers(16, 4000))
def test_held_out_frames_keep_their_distance(frames):
    """No trained frame is held out or next to a held-out one, and at least two thirds are trained on."""
    split = split_footage(frames)
    assert split.blocks
    assert split.trained.mean() >= 2 / 3
    for block in split.blocks:
        assert 0 <= block[0] <= block[-1] < frames
        assert not split.trained[max(0, block[0] - 1) : block[-1] + 2].any()


def test_long_footage_holds_out_four_blocks_of_eight():
    """Four blocks of eight frames, spread over the clip, three frames of gap."""
    split = split_footage(247)
    assert [len(block) for block in split.blocks] == [8] * 4
    assert (~split.trained).sum() == 4 * (8 + 2 * 3)


def test_too_short_footage_is_refused():
    """Below 16 frames nothing can be held out."""
    with pytest.raises(ValueError, match="15 frames"):
        split_footage(15)


def pairs_of(prepared, **options):
    settings = {"onto_plate": True, "previous_noise": 0.1, "seed": 3, **options}
    return Pairs(prepared, split_footage(len(prepared)), **settings)


def test_pairs_depend_on_the_count_alone(prepared):
    """The pair after so many pictures is the same in a new process; another seed gives others."""
    first, again = pairs_of(prepared).pair(42), pairs_of(prepared).pair(42)
    np.testing.assert_array_equal(first.pictures[0], again.pictures[0])
    np.testing.assert_array_equal(first.previous, again.previous)
    others = [pairs_of(prepared, seed=seed).pair(42).labels[0].numpy().tobytes() for seed in range(8)]
    assert len(set(others)) > 1


def test_pairs_never_touch_held_out_frames_or_frames_without_a_person(prepared):
    """Both frames of every pair are training frames with a pose."""
    poses = [None if frame == 3 else pose for frame, pose in enumerate(prepared.poses)]
    pairs = pairs_of(replace(prepared, poses=poses))
    split = split_footage(len(prepared))
    for first in pairs.first_frames:
        assert split.trained[first]
        assert split.trained[first + 1]
        assert 3 not in (first, first + 1)


def test_previous_picture_is_empty_half_of_the_time(prepared):
    """Zeros stay in distribution, so that a session may begin with them at any frame."""
    empty = [not pairs_of(prepared).pair(count).previous.any() for count in range(0, 400, 2)]
    assert 0.4 < np.mean(empty) < 0.75


def test_props_beside_the_person_are_the_plate_in_the_target(prepared):
    """A ball far from the mask is not learnt; without a plate the frame stays as it is."""
    pictures = prepared.pictures.copy()
    pictures[2, 20:26, 26:31] = 255
    prepared = replace(prepared, pictures=pictures)
    np.testing.assert_array_equal(pairs_of(prepared).target(2)[20:26, 26:31], prepared.plate[20:26, 26:31])
    np.testing.assert_array_equal(pairs_of(prepared).target(2)[10:20, 9], pictures[2, 10:20, 9])
    np.testing.assert_array_equal(pairs_of(prepared, onto_plate=False).target(2), pictures[2])


def test_values_lie_where_the_networks_expect_them(prepared):
    """Labels and masks in [0, 1], pictures in [-1, 1]."""
    pair = pairs_of(prepared).pair(0)
    for low, high, tensors in (
        (0, 1, pair.labels),
        (0, 1, pair.masks),
        (0, 1, pair.grown_masks),
        (-1, 1, pair.pictures),
    ):
        assert all(low <= tensor.min() < tensor.max() <= high for tensor in tensors)
    assert pair.labels[0].shape == pair.previous.shape == (1, 3, 32, 32)
    assert (pair.grown_masks[0] >= pair.masks[0] - 0.7).all()


def test_footage_without_consecutive_poses_is_refused(prepared):
    """Every second frame without a person leaves no pair."""
    poses = [pose if frame % 2 else None for frame, pose in enumerate(prepared.poses)]
    with pytest.raises(ValueError, match="two consecutive"):
        pairs_of(replace(prepared, poses=poses))
