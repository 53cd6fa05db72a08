from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.errors import NoBody
from training.data.pairs import Pairs
from training.data.split import near_blocks, split_by_length, split_footage

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Splits do not depend on timing, so a busy machine must not fail these tests."""


@UNHURRIED
@given(st.integers(16, 4000))
def test_held_out_frames_keep_their_distance(frames):
    """No trained frame is held out or next to a held-out one, and at least two thirds are trained on."""
    split = split_footage([True] * frames)
    assert split.blocks
    assert split.trained.mean() >= 2 / 3
    for block in split.blocks:
        assert 0 <= block[0] <= block[-1] < frames
        assert not split.trained[max(0, block[0] - 1) : block[-1] + 2].any()


def test_long_footage_holds_out_four_blocks_of_eight():
    """Four blocks of eight frames are spread over the clip, each with a gap of three frames."""
    split = split_footage([True] * 247)
    assert [len(block) for block in split.blocks] == [8] * 4
    assert (~split.trained).sum() == 4 * (8 + 2 * 3)


def test_too_short_footage_is_refused():
    """Below 16 frames nothing can be held out."""
    with pytest.raises(NoBody, match="only 15 frames"):
        split_footage([True] * 15)


@UNHURRIED
@given(st.lists(st.booleans(), min_size=40, max_size=300).filter(lambda shows: sum(shows) >= 16))
def test_held_out_blocks_lie_where_the_person_is(shows):
    """However sparse the person is in the footage, every block begins and ends with a frame that shows them."""
    split = split_footage(shows)
    for block in split.blocks:
        assert shows[block[0]]
        assert shows[block[-1]]
        assert not split.trained[block.start : block.stop].any()


def test_footage_that_shows_the_person_at_its_end_only_is_split():
    """Two hundred empty frames and fifty with the person leave pairs to train on and frames to score."""
    shows = [False] * 200 + [True] * 50
    split = split_footage(shows)
    assert all(block.start >= 200 for block in split.blocks)
    assert (split.trained & np.array(shows)).sum() >= 33


def pairs_of(prepared, **options):
    settings = {"onto_plate": True, "previous_zeros": 0.5, "previous_noise": 0.1, "seed": 3, **options}
    return Pairs(prepared, split_footage([True] * len(prepared)), **settings)


def test_pairs_depend_on_the_count_alone(prepared):
    """The pair for a number of pictures is the same in a new process; another seed gives other pairs."""
    first, again = pairs_of(prepared).pair(42), pairs_of(prepared).pair(42)
    np.testing.assert_array_equal(first.pictures[0], again.pictures[0])
    np.testing.assert_array_equal(first.previous, again.previous)
    others = [pairs_of(prepared, seed=seed).pair(42).labels[0].numpy().tobytes() for seed in range(8)]
    assert len(set(others)) > 1


def test_pairs_never_touch_held_out_frames_or_frames_without_a_person(prepared):
    """Both frames of every pair are training frames with a pose."""
    poses = [None if frame == 3 else pose for frame, pose in enumerate(prepared.poses)]
    pairs = pairs_of(replace(prepared, poses=poses))
    split = split_footage([True] * len(prepared))
    for first in pairs.first_frames:
        assert split.trained[first]
        assert split.trained[first + 1]
        assert 3 not in (first, first + 1)


def test_previous_picture_is_empty_half_of_the_time(prepared):
    """Zeros stay in distribution, so that a session can start with them at any frame."""
    empty = [not pairs_of(prepared).pair(count).previous.any() for count in range(0, 400, 2)]
    assert 0.4 < np.mean(empty) < 0.75
    assert not any(pairs_of(prepared, previous_zeros=1.0).pair(count).previous.any() for count in range(0, 40, 2))


def test_props_beside_the_person_are_the_plate_in_the_target(prepared):
    """A ball far from the mask is not learned; without a plate the frame is not changed."""
    pictures = prepared.pictures.copy()
    pictures[2, 20:26, 26:31] = 255
    prepared = replace(prepared, pictures=pictures)
    np.testing.assert_array_equal(pairs_of(prepared).target(2)[20:26, 26:31], prepared.plate[20:26, 26:31])
    np.testing.assert_array_equal(pairs_of(prepared).target(2)[10:20, 9], pictures[2, 10:20, 9])
    np.testing.assert_array_equal(pairs_of(prepared, onto_plate=False, targets="filmed").target(2), pictures[2])


def test_props_near_the_person_do_not_count(prepared):
    """Pixels of a prop within the margin are left out; all others count, and all pixels without a plate."""
    props = prepared.props.copy()
    props[:, 15:18] = 255
    prepared = replace(prepared, props=props)
    pair = pairs_of(prepared).pair(0)
    left_out = pair.counted[0] == 0
    assert left_out.any()
    assert (pair.grown_masks[0][left_out] > 0).all()
    assert not left_out[..., :15, :].any()
    filmed = pairs_of(prepared, onto_plate=False, targets="filmed")
    assert (filmed.pair(0).counted[0] == 1).all()


def test_targets_are_painted_masked_or_as_filmed(prepared):
    """Painted targets show the plate and no prop on the person, masked ones the prop, filmed ones everything."""
    pictures = prepared.pictures.copy()
    pictures[2, 20:26, 26:31] = 255
    prepared = replace(prepared, pictures=pictures, targets=np.zeros_like(pictures))
    beside, person = (2, slice(20, 26), slice(26, 31)), (2, slice(10, 20), 9)
    for targets, looks_beside, looks_on_person in (
        ("painted", prepared.plate, prepared.targets[2]),
        ("masked", prepared.plate, pictures[2]),
        ("filmed", pictures[2], pictures[2]),
    ):
        target = pairs_of(prepared, targets=targets).target(2)
        np.testing.assert_array_equal(target[beside[1:]], looks_beside[beside[1:]])
        np.testing.assert_array_equal(target[person[1:]], looks_on_person[person[1:]])


def test_filmed_targets_count_props_too(prepared):
    """With filmed targets, pixels of props count."""
    props = np.full_like(prepared.props, 255)
    filmed = pairs_of(replace(prepared, props=props), targets="filmed")
    assert (filmed.pair(0).counted[0] == 1).all()


def test_masks_without_a_plate_are_refused(prepared):
    """A masked target shows the plate beside the person, so it needs a plate."""
    with pytest.raises(ValueError, match="masked targets show the plate"):
        pairs_of(prepared, onto_plate=False, targets="masked")


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
    """If every second frame lacks the person, no pair is left."""
    poses = [pose if frame % 2 else None for frame, pose in enumerate(prepared.poses)]
    with pytest.raises(NoBody, match="two consecutive"):
        pairs_of(replace(prepared, poses=poses))


def test_longer_footage_holds_out_more_blocks():
    """There is a block for every 400 frames, at least 4 and at most 16, with gaps of an eighth of a second."""
    for frames, rate_hz, blocks, gap in ((247, 24, 4, 3), (2800, 25, 7, 3), (9000, 120, 16, 15)):
        split = split_by_length([True] * frames, rate_hz)
        assert len(split.blocks) == blocks
        near = near_blocks(split.blocks, rate_hz)
        assert near == set(range(frames)) - {i for i in range(frames) if split.trained[i]}
        assert len(near) == blocks * (8 + 2 * gap)


def test_no_pair_goes_across_a_cut(prepared):
    """A frame after a cut is not a pair's second frame, and the frame before the cut is not a previous picture."""
    cut = replace(prepared, starts=frozenset({0, 12}))
    pairs = Pairs(
        cut, split_footage([True] * len(cut), blocks=1, block_frames=1, gap_frames=1), onto_plate=True,
        previous_zeros=0.0, previous_noise=0.0, seed=0,
    )  # fmt: skip
    assert 11 not in pairs.first_frames
    random = np.random.default_rng(0)
    assert pairs._before(12, random) is None
    assert pairs._before(11, random) is not None
