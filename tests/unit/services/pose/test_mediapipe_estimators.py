"""What both estimators with MediaPipe's networks promise: our engine, and the solution in its wheel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from motion import skeleton
from motion.pose_choice import PoseDetail
from services.pose.estimator import PoseRules
from services.pose.mediapipe.estimator import PoseEstimator
from services.pose.mediapipe_solution.estimator import SolutionEstimator
from tests.unit.services.pose.clips import found_in, pictures, real_clips

AnyEstimator = Callable[..., Any]


@pytest.fixture(params=[PoseEstimator, SolutionEstimator])
def estimator_of(request: pytest.FixtureRequest) -> AnyEstimator:
    return request.param


def test_a_picture_without_a_person_is_not_an_error(estimator_of):
    """A blank picture has no people and no mask, and causes no error."""
    with estimator_of(PoseDetail.BODY, with_mask=True) as estimator:
        estimate = estimator.estimate(np.zeros((48, 64, 3), np.uint8))
    assert estimate.people == []
    assert estimate.dancer_index == -1
    assert estimate.dancer is None
    assert estimate.mask is None
    assert estimate.compute_seconds > 0


def test_closing_twice_is_harmless(estimator_of):
    """Closing an estimator again, here by its context manager, does nothing."""
    with estimator_of(PoseDetail.BODY) as estimator:
        estimator.close()


@real_clips
def test_a_juggler_is_found_with_face_hands_and_mask(estimator_of, clips):
    """Detail HOLISTIC finds body, face and hands, and the mask covers the person."""
    with estimator_of(with_mask=True) as estimator:
        estimates = [estimator.estimate(picture) for picture in pictures(clips / "target_juggle.mp4", count=6)]
    assert found_in(estimates) == 1
    last = estimates[-1].dancer
    assert last is not None
    assert last.seen[[skeleton.NOSE, skeleton.NECK, skeleton.MID_HIP, skeleton.L_ANKLE, skeleton.R_ANKLE]].all()
    assert last.seen[skeleton.FACE].all()
    mask = estimates[-1].mask
    assert mask is not None
    assert mask.shape == (720, 1280)
    assert mask.dtype == np.float32
    hip_x_px, hip_y_px = last.joints_px[skeleton.MID_HIP].astype(int)
    assert mask[hip_y_px, hip_x_px] > 0.9
    assert mask[5, 5] < 0.1


@real_clips
def test_live_detects_face_and_hands_in_every_nth_frame(estimator_of, clips):
    """Detail LIVE reports which faces and hands were carried; the body is the same as with detail BODY."""
    shown = list(pictures(clips / "target_juggle.mp4", count=5))
    rules = PoseRules(face_and_hands_every_n=3)
    with estimator_of(PoseDetail.LIVE, rules=rules) as live, estimator_of(PoseDetail.BODY) as body:
        estimates = [live.estimate(picture) for picture in shown]
        bodies = [body.estimate(picture) for picture in shown]
    assert [estimate.face_and_hands_carried for estimate in estimates] == [False, True, True, False, True]
    for estimate, plain in zip(estimates, bodies, strict=True):
        assert estimate.dancer is not None
        assert plain.dancer is not None
        np.testing.assert_array_equal(estimate.dancer.joints_px[skeleton.BODY], plain.dancer.joints_px[skeleton.BODY])
    assert estimates[1].dancer is not None
    assert estimates[1].dancer.seen[skeleton.FACE].all()


@real_clips
def test_small_people_are_not_reported(estimator_of, clips):
    """A person below the minimum height is not reported."""
    picture = next(pictures(clips / "target_juggle.mp4"))
    for fraction, people in ((0.25, 1), (1.0, 0)):
        with estimator_of(PoseDetail.BODY, rules=PoseRules(min_height_fraction=fraction)) as estimator:
            assert len(estimator.estimate(picture).people) == people
