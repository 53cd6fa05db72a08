"""Top-down whole-body poses: 133 points are mapped to our joints, in pixels of the original picture."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from motion import skeleton
from motion.frame import FrameSize
from services.pose.models.card import RtmPoseCard, read_card
from services.pose.rtmpose.estimator import RtmPoseEstimator, RtmPoseModel, apart, simcc_points
from services.pose.rtmpose.keypoint_map import whole_body_pose
from serving.errors import BadSettings
from tests.tiny_pose_networks import whole_body_card, write_card, write_detector, write_whole_body_network

NO_DETECTOR = {"model": {"path": "none.onnx"}, "boxes": "dets"}


def estimator(tmp_path, **changes) -> RtmPoseEstimator:
    path = write_whole_body_network(tmp_path / "tiny.onnx")
    card = read_card(write_card(tmp_path, whole_body_card(path, **changes)))
    assert isinstance(card, RtmPoseCard)
    return RtmPoseEstimator(RtmPoseModel(card))


def spot(x_px: int, y_px: int, width_px: int = 320, height_px: int = 240) -> np.ndarray:
    picture = np.zeros((height_px, width_px, 3), np.uint8)
    picture[y_px - 6 : y_px + 6, x_px - 6 : x_px + 6] = 255
    return picture


def test_points_lie_where_the_network_sees_them(tmp_path):
    """All joints are found at the bright spot, in pixels of the picture and not of the crop."""
    with closing(estimator(tmp_path)) as found:
        (pose,) = found.estimate(spot(150, 90)).people
    assert pose.seen[[skeleton.NOSE, skeleton.NECK, skeleton.MID_HIP, skeleton.L_HEEL]].all()
    assert pose.seen[skeleton.FACE].all()
    assert pose.seen[skeleton.LEFT_HAND].all()
    off_px = np.abs(pose.joints_px - (150, 90)).max()
    assert off_px < 15  # a pixel of the crop is eight of the picture


def test_a_detector_finds_the_people(tmp_path):
    """Its boxes are in pixels of its input; other classes, low scores and duplicates are ignored."""
    boxes = [[0, 0, 32, 48, 0.9], [1, 0, 32, 47, 0.8], [32, 0, 64, 48, 0.7], [20, 0, 60, 48, 0.2], [8, 8, 20, 20, 0.9]]
    write_detector(tmp_path / "detector.onnx", boxes, [0, 0, 0, 0, 7])
    detector = {
        "model": {"path": "detector.onnx"}, "input": {"colour": "BGR", "side_px": 64}, "boxes": "dets",
        "labels": "labels", "person_label": 0, "min_score": 0.5,
    }  # fmt: skip
    picture = spot(60, 90) | spot(250, 200)
    with closing(estimator(tmp_path, detector=detector)) as found:
        people = found.estimate(picture).people
    assert len(people) == 2
    for pose, place in zip(people, ((60, 90), (250, 200)), strict=True):
        assert np.abs(pose.joints_px[skeleton.NOSE] - place).max() < 15


def test_without_a_detector_the_last_frame_s_people_are_followed(tmp_path):
    """After a picture without people, the whole next picture is searched."""
    with closing(estimator(tmp_path)) as found:
        assert found.estimate(np.zeros((240, 320, 3), np.uint8)).people == []
        assert len(found.estimate(spot(150, 90)).people) == 1
        assert len(found.estimate(spot(152, 92)).people) == 1


def test_133_points_become_our_joints():
    """COCO's body, feet, the face's 68 points and the hands map to our joints; pupils are the means of the eyes."""
    points = np.stack([np.arange(133.0), 2 * np.arange(133.0)], axis=1).astype(np.float32)
    scores = np.full(133, 0.8, np.float32)
    pose = whole_body_pose(points, scores, FrameSize(400, 400), 0.3)
    expected = {
        skeleton.NOSE: 0, skeleton.L_EYE: 1, skeleton.R_EYE: 2, skeleton.L_EAR: 3, skeleton.R_EAR: 4,
        skeleton.L_SHOULDER: 5, skeleton.R_SHOULDER: 6, skeleton.L_ELBOW: 7, skeleton.R_ELBOW: 8,
        skeleton.L_WRIST: 9, skeleton.R_WRIST: 10, skeleton.L_HIP: 11, skeleton.R_HIP: 12, skeleton.L_KNEE: 13,
        skeleton.R_KNEE: 14, skeleton.L_ANKLE: 15, skeleton.R_ANKLE: 16, skeleton.L_BIG_TOE: 17,
        skeleton.L_SMALL_TOE: 18, skeleton.L_HEEL: 19, skeleton.R_BIG_TOE: 20, skeleton.R_SMALL_TOE: 21,
        skeleton.R_HEEL: 22, skeleton.NECK: 5.5, skeleton.MID_HIP: 11.5,
        skeleton.FACE.start: 23, skeleton.FACE.start + 67: 90,
        skeleton.LEFT_HAND.start: 91, skeleton.RIGHT_HAND.start: 112, skeleton.RIGHT_HAND.stop - 1: 132,
        skeleton.FACE.start + 68: 23 + 38.5, skeleton.FACE.start + 69: 23 + 44.5,
    }  # fmt: skip
    for joint, x_px in expected.items():
        assert pose.joints_px[joint].tolist() == [x_px, 2 * x_px], joint
    assert pose.seen.all()
    scores[9], scores[5], points[16] = 0.1, 0.2, (-3, 7)
    pose = whole_body_pose(points, scores, FrameSize(400, 400), 0.3)
    assert not pose.seen[[skeleton.L_WRIST, skeleton.L_SHOULDER, skeleton.NECK, skeleton.R_ANKLE]].any()


def test_simcc_maps_are_read_at_their_maxima():
    """x and y are bins divided by the split; the score is the smaller of both maxima, at least 0."""
    maps_x, maps_y = np.zeros((1, 2, 8), np.float32), np.zeros((1, 2, 12), np.float32)
    maps_x[0, 0, 5], maps_y[0, 0, 9], maps_x[0, 1], maps_y[0, 1] = 0.7, 0.4, -1, -1
    points, scores = simcc_points(maps_x, maps_y, 2)
    assert points[0, 0].tolist() == [2.5, 4.5]
    assert scores[0].tolist() == pytest.approx([0.4, 0])


def test_boxes_of_one_person_are_one():
    """Of two overlapping boxes, the first is kept; an empty list is allowed."""
    boxes = list(np.array([[0, 0, 10, 10], [1, 0, 10, 10], [20, 0, 30, 10]], np.float32))
    assert apart(boxes).tolist() == [[0, 0, 10, 10], [20, 0, 30, 10]]
    assert apart([]).shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"points": "coco-17"}, "points: expected coco-wholebody-133"),
        ({"outputs": {"simcc_x": "a", "simcc_y": "simcc_y", "split": 2}}, "has no output 'a'"),
        ({"input": {"colour": "RGB", "width_px": 96, "height_px": 64}}, "the network rejects the input"),
        ({"detector": NO_DETECTOR | {"input": {"colour": "BGR", "side_px": 64}}}, "which the model card names"),
        ({"detector": NO_DETECTOR | {"input": {"colour": "BGR"}}}, "detector.input.side_px: is missing"),
    ],
)  # fmt: skip
def test_an_invalid_card_is_rejected_at_the_start(tmp_path, changes, told):
    """The error names file and field, before any frame is processed."""
    with pytest.raises(BadSettings) as caught:
        estimator(tmp_path, **changes)
    assert told in str(caught.value)
