"""The solution in MediaPipe's wheel."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from motion import skeleton
from motion.frame import Picture
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, PoseRules
from services.pose.mediapipe_solution.estimator import SolutionEstimator, landmarks_array

real_clips = pytest.mark.real_clips


def pictures(clip: Path, first: int = 0, count: int | None = None) -> Iterator[Picture]:
    """Frames `first` to `first + count` of a clip, `[H, W, 3]` uint8 RGB."""
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if count is not None and index >= first + count:
                return
            if index >= first:
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def found_in(estimates: list[Estimate]) -> float:
    """Return the fraction of frames with a pose."""
    return float(np.mean([bool(estimate.people) for estimate in estimates]))


def test_a_picture_without_a_person_is_not_an_error():
    """A blank picture has no people and no mask, and causes no error."""
    with SolutionEstimator(PoseDetail.BODY, with_mask=True) as estimator:
        estimate = estimator.estimate(np.zeros((48, 64, 3), np.uint8))
    assert estimate.people == []
    assert estimate.dancer_index == -1
    assert estimate.dancer is None
    assert estimate.mask is None
    assert estimate.compute_seconds > 0


def test_closing_twice_is_harmless():
    """Closing an estimator again, here by its context manager, does nothing."""
    with SolutionEstimator(PoseDetail.BODY) as estimator:
        estimator.close()


@real_clips
def test_a_juggler_is_found_with_face_hands_and_mask(clips):
    """Detail HOLISTIC finds body, face and hands, and the mask covers the person."""
    with SolutionEstimator(with_mask=True) as estimator:
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
def test_live_detects_face_and_hands_in_every_nth_frame(clips):
    """Detail LIVE reports which faces and hands were carried; the body is the same as with detail BODY."""
    shown = list(pictures(clips / "target_juggle.mp4", count=5))
    rules = PoseRules(face_and_hands_every_n=3)
    with SolutionEstimator(PoseDetail.LIVE, rules=rules) as live, SolutionEstimator(PoseDetail.BODY) as body:
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
def test_small_people_are_not_reported(clips):
    """A person below the minimum height is not reported."""
    picture = next(pictures(clips / "target_juggle.mp4"))
    for fraction, people in ((0.25, 1), (1.0, 0)):
        with SolutionEstimator(PoseDetail.BODY, rules=PoseRules(min_height_fraction=fraction)) as estimator:
            assert len(estimator.estimate(picture).people) == people


def test_a_list_becomes_an_array_and_none_stays_none():
    """A landmark list becomes [N, 3]; None stays None."""
    marks = SimpleNamespace(landmark=[SimpleNamespace(x=0.25, y=0.5, visibility=0.75)] * 2)
    array = landmarks_array(marks)
    assert array is not None
    np.testing.assert_allclose(array, [[0.25, 0.5, 0.75]] * 2)
    assert landmarks_array(None) is None


def test_a_closed_estimator_returns_its_memory(monkeypatch):
    """Its networks and buffers go back to the system, once."""
    returned = []
    monkeypatch.setattr("services.pose.mediapipe_solution.estimator.give_freed_back", lambda: returned.append(True))
    estimator = SolutionEstimator(PoseDetail.BODY)
    assert not returned
    for _ in range(2):
        estimator.close()
        assert returned == [True]


def test_it_continues_no_other_estimator():
    """MediaPipe's graphs do not say their state."""
    with pytest.raises(ValueError, match="a state of another backend"):
        SolutionEstimator(PoseDetail.BODY, state=b"1")
