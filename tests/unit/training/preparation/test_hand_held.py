"""Footage from a camera held in the hand is prepared as if the camera had stood still."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from training.data import footage as reading
from training.data.footage import FootageFacts
from training.data.prepared_footage import CAMERA_FILE, UNSEEN, load_prepared
from training.preparation.prepare import FootageRefused, prepare

FRAMES = 20
STEPS_PX = [(4 * (i % 3), 3 * (i % 4)) for i in range(FRAMES)]


@pytest.fixture
def hand_held(tmp_path, monkeypatch, fake_estimator, pose_at):
    """Returns the footage's path, and the list of its frames, which show a place from places apart by `STEPS_PX`."""
    noise = np.random.default_rng(6).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    place = cv2.GaussianBlur(cv2.resize(noise, (192, 144), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)
    frames = [place[y : y + 120, x : x + 160].copy() for x, y in STEPS_PX]

    def estimate(picture):
        mask = np.zeros(picture.shape[:2], np.float32)
        mask[:30, 10:22] = 1
        return SimpleNamespace(dancer=pose_at(16), mask=mask)

    monkeypatch.setattr(fake_estimator, "estimate", estimate)
    path = tmp_path / "footage.mp4"
    path.write_bytes(b"footage")
    monkeypatch.setattr(reading, "footage_frames", lambda path, on_end: iter(frames))
    monkeypatch.setattr(reading, "footage_facts", lambda path: FootageFacts(24.0, FRAMES))
    return path, frames


def test_frames_and_poses_are_held_still(hand_held, tmp_path):
    """The place is at the same pixels in every frame and in the plate; poses move along; missing edges are not seen."""
    path, _ = hand_held
    notes = []
    prepared = prepare(path, tmp_path / "work", 160, 120, whole_frame=True, anyway=True, say=notes.append)
    seen = (prepared.props != UNSEEN) & (prepared.masks == 0)
    seen[:, :60, :60] = False  # the person hides the place there
    for picture, shown in zip(prepared.pictures, seen, strict=True):
        assert shown.mean() > 0.6
        assert np.abs(picture[shown].astype(int) - prepared.crop_plate[shown]).mean() < 4
    noses_px = np.array([pose.joints_px[0] for pose in prepared.poses if pose is not None])
    camera_px = np.array(STEPS_PX)
    np.testing.assert_allclose(noses_px - noses_px[0], camera_px - camera_px[0], atol=0.6)
    assert not any("refused: camera" in note for note in notes)
    again = load_prepared(prepared.folder.parent, prepared.crop)
    for one, other in zip(prepared.poses, again.poses, strict=True):
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.joints_px, other.joints_px)


def test_a_camera_that_stands_still_resamples_nothing(hand_held, tmp_path):
    """Frames from one place are kept to the last bit."""
    path, frames = hand_held
    frames[:] = [frames[0]] * FRAMES
    prepared = prepare(path, tmp_path / "work", 160, 120, whole_frame=True, anyway=True)
    assert not (prepared.folder.parent / CAMERA_FILE).exists()
    np.testing.assert_array_equal(prepared.pictures[7], frames[0])


def test_a_camera_that_pans_is_refused_with_words(hand_held, tmp_path):
    """The refusal says how far the camera moved, and how to film instead."""
    path, frames = hand_held
    wide = np.concatenate([frames[0], frames[0][:, ::-1]], axis=1)
    frames[:] = [wide[:, 4 * i : 4 * i + 160].copy() for i in range(FRAMES)]
    with pytest.raises(FootageRefused, match=r"camera: moved by .*do not turn after the person"):
        prepare(path, tmp_path / "work", 160, 120)
