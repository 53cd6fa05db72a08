"""Scores of an actor in poses that the footage lacks."""

from types import SimpleNamespace

import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from training.evaluation.unseen_poses import scores as unseen_scores
from training.evaluation.unseen_poses.scores import draw_unseen, score_unseen


@pytest.fixture
def finds(monkeypatch):
    """Replaces the detector: it finds the poses in the list that the function is given, in order."""

    def set_to(found):
        poses = iter(found)
        detector = SimpleNamespace(estimate=lambda picture: SimpleNamespace(dancer=next(poses)), close=lambda: None)
        monkeypatch.setattr(unseen_scores, "mediapipe_estimator", lambda *_, **__: detector)

    return set_to


def without(pose, joint):
    confidence = pose.confidence.copy()
    confidence[joint] = 0
    return Pose(pose.joints_px, confidence)


def test_distances_and_losses_are_counted(finds, pose_at):
    """A pose elsewhere has a distance, a lost joint and a lost person count as missed; each pose has its name."""
    pose = pose_at(16)
    torso_px = 8.0
    finds([pose.transformed(1, 1, 2, 0), without(pose, skeleton.NOSE), None])
    scores = score_unseen(
        [np.zeros((32, 32, 3), np.uint8)] * 3, {"a": pose, "b": pose, "c": pose}, np.zeros((32, 32, 3), np.uint8), None
    )
    assert scores is not None
    assert (scores.poses, scores.found) == (3, 2)
    assert scores.each == {"a": pytest.approx(2 / torso_px), "b": 0, "c": None}
    assert scores.distance == pytest.approx(1 / torso_px)
    assert scores.missed == pytest.approx((0 + 1 + 7) / 21)
    assert scores.to_dict()["each"] == {"a": 0.25, "b": 0.0, "c": None}


def test_each_pose_is_drawn_as_if_held(pose_at):
    """The network draws a pose on its own picture of the same pose; the checks before each pose may stop the work."""
    asked, checks = [], []

    def draw(poses):
        asked.append(poses)
        return [np.full((4, 4, 3), index, np.uint8) for index in range(len(poses))]

    pictures = draw_unseen(draw, {"a": pose_at(8), "b": pose_at(20)}, lambda: checks.append(1))
    assert [picture[0, 0, 0] for picture in pictures] == [1, 1]
    assert all(first is second for first, second in asked)
    assert len(checks) == 2


def test_without_poses_there_are_no_scores():
    """Footage that shows no body allows no made-up poses."""
    assert score_unseen([], {}, np.zeros((32, 32, 3), np.uint8), None) is None
