"""A track survives serialisation exactly, and bytes that are none are refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion.frame import FrameSize
from motion.pose import Pose
from services.pose.mediapipe.body import BodyTrack
from services.pose.mediapipe.one_euro import Smoothed
from services.pose.mediapipe.track import Track


def smoothed(generator: np.random.Generator, count: int) -> Smoothed:
    """The filter of `count` random points."""
    return Smoothed(*(generator.normal(300, 100, (count, 2)).astype(np.float32) for _ in range(3)))


def track(*, detected: bool = True, time_s: float | None = 1.5) -> Track:
    """A track with random points, a face and one hand."""
    generator = np.random.default_rng(7)
    body = BodyTrack(smoothed(generator, 33), smoothed(generator, 2), generator.random(33).astype(np.float32))
    parts = (generator.random((29, 2)).astype(np.float32), None, generator.random((12, 2)).astype(np.float32))
    rows = generator.random((137, 3), np.float32)
    pose = Pose(rows[:, :2], rows[:, 2]) if detected else None
    return Track(FrameSize(640, 480), time_s, body, parts, pose, 2)


@pytest.mark.parametrize("detected", [True, False])
@pytest.mark.parametrize("time_s", [0.0, 1.5, None])
def test_a_track_is_restored_exactly(detected, time_s):
    """Everything comes back to the last bit, so what comes next does too."""
    stored = track(detected=detected, time_s=time_s)
    restored = Track.from_bytes(stored.to_bytes())
    assert restored.to_bytes() == stored.to_bytes()
    assert (restored.size, restored.time_s, restored.frames_since_detection) == (stored.size, time_s, 2)
    np.testing.assert_array_equal(restored.body.guides.points, stored.body.guides.points)
    assert restored.body.next_region == stored.body.next_region
    assert [part is None for part in restored.parts] == [False, True, False]
    assert (restored.detected is None) is not detected


@given(st.integers(0, 4000), st.integers(1, 255))
def test_a_changed_byte_is_refused(position, change):
    """A state with any byte changed is an error or, in the frame's size and time, another valid state."""
    data = bytearray(track().to_bytes())
    position %= len(data)
    data[position] ^= change
    try:
        Track.from_bytes(bytes(data))
    except ValueError:
        return
    assert 22 <= position < 42


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data):
    """Bytes that are not a state are an error."""
    with pytest.raises(ValueError, match="state"):
        Track.from_bytes(data)


@pytest.mark.parametrize(("part", "count"), [(0, 2), (0, 471), (1, 1), (2, 11), (2, 13)])
def test_a_part_with_another_number_of_points_is_refused(part, count):
    """A hand has twelve points and a face at least three: with others, the next picture could not be estimated."""
    stored = track()
    parts = [*stored.parts]
    parts[part] = np.zeros((count, 2), np.float32)
    with pytest.raises(ValueError, match=f"a state with {count} points"):
        Track.from_bytes(replace(stored, parts=tuple(parts)).to_bytes())


@given(st.integers(0, 3000))
def test_a_state_cut_short_is_refused(length):
    """A state without its end is an error."""
    data = track().to_bytes()
    with pytest.raises(ValueError, match="state"):
        Track.from_bytes(data[: length % len(data)])
