"""A head that is drawn in a second place is found, by its likeness to the first."""

import cv2
import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from training.evaluation.second_heads import head_elsewhere, least_in_film, second_heads

SIDE = 128


@pytest.fixture
def pose():
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, place in {skeleton.NOSE: (64, 36), skeleton.NECK: (64, 48), skeleton.MID_HIP: (64, 88)}.items():
        joints_px[joint], confidence[joint] = place, 1
    return Pose(joints_px, confidence)


@pytest.fixture
def place():
    return np.full((SIDE, SIDE, 3), 200, np.uint8)


def person(place, *heads):
    """A shirt with heads of hair and skin at these places; half of each is hair."""
    picture = place.copy()
    cv2.line(picture, (64, 50), (64, 88), (60, 60, 160), 24)
    for x, y in heads:
        cv2.circle(picture, (x, y), 11, (30, 20, 20), -1)
        cv2.rectangle(picture, (x - 6, y - 2), (x + 6, y + 9), (190, 130, 100), -1)
    return picture


def test_a_second_head_is_found(pose, place):
    """The same head at the end of a raised arm is one, also a little blurred; an arm of skin is none."""
    real = [person(place, (64, 34)), person(place, (64, 34))]
    cv2.line(real[1], (80, 55), (105, 30), (190, 130, 100), 8)
    cv2.circle(real[0], (105, 80), 14, (60, 60, 160), -1)  # a bag as large as a head, of another colour
    in_film = least_in_film(real, [pose, pose], place)
    assert in_film is not None
    two = person(place, (64, 34), (105, 30))
    soft = cv2.GaussianBlur(two, (0, 0), 1.5)
    found = second_heads([real[1], two, np.asarray(soft, np.uint8)], [pose] * 3, place, in_film)
    assert found == [False, True, True]
    assert second_heads([two], [pose], place, None) == [True]


def test_the_head_itself_and_the_torso_are_no_second_head(pose, place):
    """Only places away from the head and outside of the torso count."""
    assert head_elsewhere(person(place, (64, 34)), pose, place) is None
    assert head_elsewhere(person(place, (64, 34), (64, 75)), pose, place) is None


def test_a_pose_without_a_head_in_the_picture_has_none(pose, place):
    """Nothing is compared when the head is not asked for, or at the edge."""
    picture = person(place, (64, 34), (105, 30))
    for without in (Pose.nothing_seen(), pose.transformed(1, 1, 0, -40)):
        assert head_elsewhere(picture, without, place) is None
