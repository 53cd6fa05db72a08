from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from training.data.pairs import Pairs, person_margin
from training.data.prepared_footage import ARRAYS
from training.data.split import split_footage
from training.loop.face_crops import cut_faces, face_crop, spread_runs


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(0, 400)), st.integers(1, 20), st.integers(0, 60))
def test_runs_are_consecutive_frames_and_not_too_many(frames, run_frames, more):
    """Every run is gapless and short enough, and all runs together have at most the allowed frames."""
    runs = spread_runs(sorted(frames), run_frames + more, run_frames)
    chosen = [frame for run in runs for frame in run]
    assert len(chosen) <= run_frames + more
    assert chosen == sorted(set(chosen))
    assert set(chosen) <= frames
    assert all(run == list(range(run[0], run[0] + len(run))) and len(run) <= run_frames for run in runs)
    if len(frames) <= run_frames + more:
        assert set(chosen) == frames


def test_chosen_runs_are_spread_over_the_footage():
    """A hundred of a thousand frames come from the whole length, not only from the beginning."""
    starts = [run[0] for run in spread_runs(list(range(1000)), 100, 10)]
    assert len(starts) == 10
    assert np.diff(starts).max() <= 110
    assert starts[0] < 100
    assert starts[-1] >= 900


def test_runs_must_fit():
    """A run longer than the maximum number of frames is an error."""
    with pytest.raises(ValueError, match="do not fit"):
        spread_runs([1, 2], 1, 2)


@pytest.fixture
def pairs(prepared):
    split = split_footage([True] * len(prepared))
    return Pairs(prepared, split, onto_plate=True, previous_zeros=0.5, previous_noise=0.1, seed=0)


def test_faces_have_the_targets_of_the_body(prepared, tiny, tmp_path):
    """The face's target shows the plate beside the person too, and progress counts every drawn frame."""
    prepared = replace(prepared, pictures=np.full_like(prepared.pictures, 255))
    split = split_footage([True] * len(prepared))
    pairs = Pairs(prepared, split, onto_plate=True, previous_zeros=0.5, previous_noise=0.1, seed=0)
    told = []
    crops = cut_faces(
        prepared, pairs, lambda label, _: label, tiny, tmp_path / "faces.npy", lambda *now: told.append(now)
    )
    assert len(crops) == len(pairs.usable_frames)
    assert told[-1] == (len(crops), len(crops))
    assert all(crop.real.min() < 220 for crop in crops)


def test_stored_faces_read_back_the_same(prepared, pairs, pose_at, tiny, tmp_path):
    """The crops read back as they were cut, in order, without frames that show no face or crops of an older file."""
    path = tmp_path / "faces.npy"
    poses = [pose_at(8 + frame / 2, face=frame != pairs.usable_frames[3]) for frame in range(len(prepared))]
    prepared = replace(prepared, poses=poses)
    path.write_bytes(b"of another body")
    crops = cut_faces(prepared, pairs, lambda label, _: ~label, tiny, path)
    expected = []
    for frame in pairs.usable_frames:
        label, person = prepared.labels[frame], person_margin(prepared.masks[frame])
        expected.append(face_crop(label, ~label, pairs.target(frame, person), person, poses[frame], tiny.face_rule))
    cut = [crop for crop in expected if crop is not None]
    assert len(crops) == len(cut) == len(expected) - 1
    for crop, found in zip(cut, crops[:], strict=True):
        for name in ("label", "drawn", "real", "person"):
            np.testing.assert_array_equal(getattr(found, name), getattr(crop, name))


def test_presets_say_how_many_frames_have_their_face_cut(prepared, tiny, tmp_path):
    """A number takes whole runs up to it; None takes every frame."""
    frames = 120
    long = replace(
        prepared,
        **{name: np.resize(getattr(prepared, name), (frames, *getattr(prepared, name).shape[1:])) for name in ARRAYS},
        poses=[prepared.poses[0]] * frames,
    )
    trained = split_footage([True] * frames)
    pairs = Pairs(long, trained, onto_plate=True, previous_zeros=0.5, previous_noise=0.1, seed=0)
    some, every = (
        cut_faces(long, pairs, lambda label, _: label, replace(tiny, face_frames=most), tmp_path / f"{most}.npy")
        for most in (60, None)
    )
    assert 0 < len(some) <= 60
    assert len(every) == len(pairs.usable_frames) > 60
    with pytest.raises(ValueError, match="do not fit into 1"):
        cut_faces(long, pairs, lambda label, _: label, replace(tiny, face_frames=1), tmp_path / "none.npy")
