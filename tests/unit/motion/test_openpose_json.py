"""OpenPose's files, as its documentation describes them."""

import json

import numpy as np
import pytest

from motion import skeleton
from motion.openpose_json import parse_poses


def person(points=25, at=100.0, **more):
    values = [[at + 10 * i, at + 5 * i, 0.9] for i in range(points)]
    return {"person_id": [-1], "pose_keypoints_2d": [v for point in values for v in point], **more}


def document(*people):
    return json.dumps({"version": 1.3, "people": list(people)})


def test_everybody_in_a_file_becomes_a_pose():
    """Bodies, faces and hands where there are any; a point that was not found is unseen."""
    lone = person()
    lone["pose_keypoints_2d"][3:6] = [0, 0, 0]
    full = person(face_keypoints_2d=[50.0, 60.0, 1.02] * 70, hand_left_keypoints_2d=[7.0, 8.0, 0.5] * 21)
    first, second = parse_poses(document(lone, full))
    np.testing.assert_allclose(first.joints_px[2], [120, 110])
    assert first.joint(skeleton.NECK) is None
    assert not first.seen[skeleton.FACE].any()
    assert second.confidence[skeleton.FACE].tolist() == [1.0] * 70
    assert second.seen[skeleton.LEFT_HAND].all()
    assert not second.seen[skeleton.RIGHT_HAND].any()
    assert parse_poses(document()) == []


def test_coco_bodies_get_their_hips_middle():
    """COCO-18 has no middle of the hips and no feet."""
    (pose,) = parse_poses(document(person(points=18)))
    np.testing.assert_allclose(pose.joints_px[skeleton.MID_HIP], [100 + 95, 100 + 47.5])
    np.testing.assert_allclose(pose.joints_px[skeleton.R_EYE], [240, 170])
    assert not pose.seen[skeleton.L_BIG_TOE : skeleton.BODY_COUNT].any()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no", "is no JSON"),
        ("[]", "no list of people"),
        (document(3), "expected an object"),
        (document({"pose_keypoints_2d": [1, 2]}), "in threes"),
        (document({"pose_keypoints_2d": ["a"]}), "no list of numbers"),
        (document(person(points=15)), "15 points, expected 25"),
        (document(person(face_keypoints_2d=[1, 2, 1])), "face_keypoints_2d has 1 points, expected 70"),
        (document({"pose_keypoints_2d": [0.1, 0.9, 1.0] * 25}), "write pixels"),
    ],
)
def test_what_is_no_such_file_is_said(text, words):
    """The reason is one for people."""
    with pytest.raises(ValueError, match=words):
        parse_poses(text)
