import numpy as np
import pytest

from training.preparation import detections
from training.preparation.detections import find_person


@pytest.fixture(autouse=True)
def short_chunks(monkeypatch):
    """Uses chunks of four frames."""
    monkeypatch.setattr(detections, "CHUNK_FRAMES", 4)


def bright(count):
    """Frames in which the fake estimator finds a person, except in the third."""
    return [np.full((32, 32, 3), 0 if frame == 2 else 200, np.uint8) for frame in range(count)]


def stop_after(frames):
    def on_frame(done):
        if done == frames:
            raise InterruptedError

    return on_frame


def test_every_frame_gets_a_pose_or_none(fake_estimator, tmp_path):
    """There is a pose per frame, None without a person, and a mask for each frame."""
    seen = find_person(lambda: bright(10), tmp_path, lambda done: None)
    assert [pose is not None for pose in seen.poses] == [frame != 2 for frame in range(10)]
    assert seen.mask(2).max() == 0
    assert seen.mask(9).shape == (32, 32)
    assert abs(int(seen.mask(9).mean()) - 128) <= 1


def test_interrupted_search_goes_on_behind_its_last_chunk(fake_estimator, tmp_path):
    """After an interruption in the second chunk the first is not searched again, and the result is the same."""
    with pytest.raises(InterruptedError):
        find_person(lambda: bright(10), tmp_path, stop_after(6))
    fake_estimator.looked = 0
    again = find_person(lambda: bright(10), tmp_path, lambda done: None)
    assert fake_estimator.looked == 6
    whole = find_person(lambda: bright(10), tmp_path / "other", lambda done: None)
    for one, other in zip(again.poses, whole.poses, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            np.testing.assert_array_equal(one.joints_px, other.joints_px)


def test_finished_search_reads_no_footage(fake_estimator, tmp_path):
    """A second run reads the stored detections."""
    find_person(lambda: bright(5), tmp_path, lambda done: None)
    fake_estimator.looked = 0

    def never():
        raise AssertionError("the footage was opened")

    assert len(find_person(never, tmp_path, lambda done: None).poses) == 5
    assert fake_estimator.looked == 0


@pytest.mark.parametrize("frames", [4, 8])
def test_footage_may_end_with_a_chunk(fake_estimator, tmp_path, frames):
    """A whole number of chunks leaves no empty chunk."""
    assert len(find_person(lambda: bright(frames), tmp_path, lambda done: None).poses) == frames
    assert len(list(tmp_path.glob("*.npz"))) == frames / 4


def test_footage_without_frames_is_refused(fake_estimator, tmp_path):
    """Footage without frames is an error."""
    with pytest.raises(ValueError, match="without frames"):
        find_person(list, tmp_path, lambda done: None)
