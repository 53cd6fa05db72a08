"""A camera that moves a little is measured against the place, and its frames are laid over each other."""

import cv2
import numpy as np
import pytest

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose
from training.place.steady_camera import CameraTracker, SteadyCamera, corner_shift_px, steady_camera

SIZE = FrameSize(320, 240)
SEEN = np.zeros((240, 320), bool)


@pytest.fixture
def place():
    """A textured place of 320x240."""
    noise = np.random.default_rng(3).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    return cv2.GaussianBlur(cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC), (0, 0), 1.5)


def hand_held(place, moves):
    """Returns the frames of a camera that moves: each shows the place under the inverse of its move."""
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return [cv2.warpPerspective(place, move, (320, 240), flags=flags, borderMode=cv2.BORDER_REFLECT) for move in moves]


def turn(degrees, dx, dy, bend=0.0):
    matrix = np.vstack([cv2.getRotationMatrix2D((160, 120), degrees, 1), [0, 0, 1]])
    matrix[:2, 2] += dx, dy
    matrix[2, 0] = bend
    return matrix


@pytest.mark.parametrize("move", [turn(0, 0, 0), turn(0, 6, -4), turn(2, 5, 3), turn(-1.5, -8, 6, 1e-4)])
def test_a_move_is_measured_to_a_fraction_of_a_pixel(place, move):
    """Shifts, turns and the bend of a turning camera are found, whatever the person in front does."""
    reference = cv2.cvtColor(place, cv2.COLOR_RGB2GRAY)
    (frame,) = hand_held(place, [move])
    hidden = SEEN.copy()
    hidden[40:230, 120:190] = True
    frame[hidden] = 20
    found = CameraTracker(reference, hidden).move(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), hidden)
    assert corner_shift_px((found @ np.linalg.inv(move))[None], SIZE)[0] < 0.6


def test_a_place_without_corners_cannot_be_followed(place):
    """A plain wall, a picture of another size and a picture of another place have no move."""
    grey = cv2.cvtColor(place, cv2.COLOR_RGB2GRAY)
    other = np.random.default_rng(9).integers(0, 256, (240, 320)).astype(np.uint8)
    plain = np.full_like(grey, 90)
    assert np.isnan(CameraTracker(plain, SEEN).move(plain, SEEN)).all()
    assert np.isnan(CameraTracker(grey, SEEN).move(plain, SEEN)).all()
    assert np.isnan(CameraTracker(grey, SEEN).move(other, SEEN)).all()
    assert np.isnan(CameraTracker(grey, SEEN).move(grey[:100], SEEN[:100])).all()


def test_frames_poses_and_masks_are_moved_along(place):
    """All frames show the place at the same pixels, and a pose stays on the person."""
    moves = np.stack([turn(0.4 * i - 2, 2 * i - 10, 6 - i) for i in range(11)])
    camera = steady_camera(moves, SIZE)
    assert camera is not None
    still = [camera.picture(i, frame) for i, frame in enumerate(hand_held(place, moves))]
    inside = slice(40, 200), slice(60, 260)
    for picture in still:
        assert np.abs(picture[inside].astype(int) - still[5][inside]).mean() < 4
    joints_px, seen = np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[0], seen[0] = (150, 100), 1
    for i in (0, 10):
        mask = np.zeros((240, 320), np.uint8)
        mask[90:111, 140:161] = 255
        moved = camera.mask(i, mask)
        rows, columns = np.nonzero(moved > 127)
        pose = camera.pose(i, Pose(joints_px, seen))
        assert [columns.mean(), rows.mean()] == pytest.approx(pose.joints_px[0].tolist(), abs=0.7)
        assert not pose.joints_px[1].any()


def test_the_part_that_a_frame_does_not_show_is_known(place):
    """A frame that was moved to the right does not show the left edge of the place."""
    moves = np.stack([turn(0, dx, 0) for dx in (-20, 0, 20)])
    camera = steady_camera(moves, SIZE)
    assert camera is not None
    shown = camera.shown(2)
    assert not shown[:, :20].any()
    assert shown[2:-2, 22:].min() == 255


def test_a_camera_that_stands_still_is_left_alone():
    """Measurements that differ by less than a pixel are noise: no frame is resampled."""
    noise = np.random.default_rng(1).normal(0, 0.05, (30, 2))
    assert steady_camera(np.stack([turn(0, *step) for step in noise]), SIZE) is None
    assert steady_camera(np.full((5, 3, 3), np.nan), SIZE) is None


def test_unknown_moves_are_guessed_from_their_neighbours():
    """A frame that could not be followed moves as between its neighbours; the first frame moves as the second."""
    moves = np.stack([turn(0, 4 * i, 0) for i in range(9)])
    damaged = moves.copy()
    damaged[[0, 4]] = np.nan
    camera, whole = steady_camera(damaged, SIZE), SteadyCamera(moves, SIZE)
    assert camera is not None
    assert camera.unknown == pytest.approx(2 / 9)
    step = np.linalg.inv(camera.moves_F33[3]) @ camera.moves_F33[4]
    np.testing.assert_allclose(step, np.linalg.inv(whole.moves_F33[3]) @ whole.moves_F33[4], atol=1e-9)
    np.testing.assert_allclose(camera.moves_F33[0], camera.moves_F33[1], atol=1e-9)
