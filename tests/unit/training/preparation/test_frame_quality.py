import cv2
import numpy as np
import pytest

from training.preparation.frame_quality import CHANGE, LIGHT, SHARPNESS, SHIFT, QualityMeter


@pytest.fixture
def place():
    """A textured place of 320x240."""
    noise = np.random.default_rng(3).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    return cv2.GaussianBlur(cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)


@pytest.fixture
def empty():
    return np.zeros((240, 320), np.uint8)


def moved(place, dx, dy):
    return cv2.warpAffine(
        place, np.array([[1, 0, dx], [0, 1, dy]], np.float32), (320, 240), borderMode=cv2.BORDER_REFLECT
    )


def test_a_camera_that_moves_is_measured_in_pixels(place, empty, tmp_path):
    """Movement is measured to a fraction of a pixel, also when the light changes."""
    meter = QualityMeter(tmp_path / "reference.npz")
    assert meter.measured(place, empty, None)[SHIFT] < 0.05
    assert meter.measured(moved(place, 3, 4), empty, None)[SHIFT] == pytest.approx(5.0, abs=0.3)
    darker = (place * 0.8).astype(np.uint8)
    values = meter.measured(darker, empty, None)
    assert values[SHIFT] < 0.2
    assert values[LIGHT] < -10


def test_a_person_who_walks_through_is_not_camera_movement(place, empty, tmp_path):
    """A third of the picture changes, and the mask shows that it is the person."""
    meter = QualityMeter(tmp_path / "reference.npz")
    meter.measured(place, empty, None)
    person, mask = place.copy(), empty.copy()
    person[40:230, 100:200], mask[40:230, 100:200] = (20, 200, 40), 255
    values = meter.measured(person, mask, None)
    assert values[SHIFT] < 0.2
    assert values[CHANGE] < 2
    assert abs(values[LIGHT]) < 2


def test_another_place_is_a_great_change(place, empty, tmp_path):
    """A change between two frames is a cut, unless only the light changes."""
    meter = QualityMeter(tmp_path / "reference.npz")
    meter.measured(place, empty, None)
    assert meter.measured(np.clip(place.astype(int) + 20, 0, 255).astype(np.uint8), empty, None)[CHANGE] < 3
    assert meter.measured(place[::-1].copy(), empty, None)[CHANGE] > 6


def test_blur_is_less_sharp(place, empty, tmp_path, pose_at):
    """Sharpness is measured around the body, so without a person there is none."""
    meter = QualityMeter(tmp_path / "reference.npz")
    pose = pose_at(160)
    sharp, blurred = (meter.measured(p, empty, pose)[SHARPNESS] for p in (place, cv2.GaussianBlur(place, (0, 0), 3)))
    assert blurred < 0.5 * sharp
    assert np.isnan(meter.measured(place, empty, None)[SHARPNESS])


def test_a_known_frame_is_compared_with_the_next_one(place, empty, tmp_path):
    """A resumed job measures the same as an uninterrupted one."""
    frames = [place, moved(place, 1, 0), moved(place, 2, 0)]
    whole = QualityMeter(tmp_path / "a.npz")
    expected = [whole.measured(frame, empty, None) for frame in frames]
    QualityMeter(tmp_path / "b.npz").measured(frames[0], empty, None)
    again = QualityMeter(tmp_path / "b.npz")
    again.skip(frames[1])
    np.testing.assert_array_equal(again.measured(frames[2], empty, None), expected[2])
