from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.data.pairs import Pairs, split_footage
from training.facecrops import cut_faces, spread_runs


@given(st.sets(st.integers(0, 400)), st.integers(1, 20), st.integers(0, 60))
def test_runs_are_consecutive_frames_and_not_too_many(frames, run_frames, more):
    """Every run is gapless, none of them is longer than allowed, and together they hold at most so many frames."""
    runs = spread_runs(sorted(frames), run_frames + more, run_frames)
    chosen = [frame for run in runs for frame in run]
    assert len(chosen) <= run_frames + more
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= frames
    assert all(run == list(range(run[0], run[0] + len(run))) and len(run) <= run_frames for run in runs)
    if len(frames) <= run_frames + more:
        assert set(chosen) == frames


def test_chosen_runs_are_spread_over_the_footage():
    """Of a thousand frames a hundred come from the whole length, not from the beginning."""
    starts = [run[0] for run in spread_runs(list(range(1000)), 100, 10)]
    assert len(starts) == 10
    assert np.diff(starts).max() <= 110
    assert starts[0] < 100
    assert starts[-1] >= 900


def test_runs_must_fit():
    """A run longer than everything is nonsense."""
    with pytest.raises(ValueError, match="do not fit"):
        spread_runs([1, 2], 1, 2)


def test_faces_have_the_targets_of_the_body(prepared, tiny):
    """What moves beside the person is the plate in the face's target too, and progress counts every drawn frame."""
    prepared = replace(prepared, pictures=np.full_like(prepared.pictures, 255))
    split = split_footage([True] * len(prepared))
    pairs = Pairs(prepared, split, onto_plate=True, previous_zeros=0.5, previous_noise=0.1, seed=0)
    told = []
    crops = cut_faces(prepared, pairs, lambda label, _: label, tiny.face_rule, lambda *now: told.append(now))
    assert len(crops) == len(pairs.usable_frames)
    assert told[-1] == (len(crops), len(crops))
    assert all(crop.real.min() < 220 for crop in crops)
