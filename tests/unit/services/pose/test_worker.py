"""Estimators in threads of their own, without MediaPipe."""

from __future__ import annotations

from typing import cast

import pytest

from motion.pose_choice import PoseBackend, PoseDetail
from services.pose import worker
from services.pose.backends import Look
from services.pose.estimator import PeopleEstimator, PoseRules


def test_memory_is_given_back_behind_a_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it is closed, by its own thread, and not before; nothing is given back for one that never started."""
    said: list[str] = []

    class Tracker:
        def close(self) -> None:
            said.append("closed")

    def broken(look: Look) -> PeopleEstimator:
        raise RuntimeError("no models")

    def given_back() -> bool:
        said.append("given back")
        return True

    monkeypatch.setattr(worker, "give_freed_back", given_back)
    makers: list[worker.Make] = [lambda look: cast(PeopleEstimator, Tracker()), broken]
    for make in makers:
        one = worker.EstimatorWorker(Look(PoseBackend.MEDIAPIPE, PoseDetail.BODY, PoseRules()), make)
        one.end()
        one.join()
    assert said == ["closed", "given back"]
