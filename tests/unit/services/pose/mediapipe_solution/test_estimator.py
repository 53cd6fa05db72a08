"""The solution in MediaPipe's wheel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from motion.pose_choice import PoseDetail
from services.pose.mediapipe_solution.estimator import SolutionEstimator, landmarks_array


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
