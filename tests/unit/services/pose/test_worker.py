"""Estimator threads, without MediaPipe."""

from __future__ import annotations

from typing import cast

import pytest

from motion.pose_choice import PoseBackend, PoseDetail
from services.pose import worker
from services.pose.backends import EstimatorConfig
from services.pose.estimator import PeopleEstimator, PoseRules


def test_a_closed_estimator_returns_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The estimator's thread returns freed memory after closing it, and does not for one that never started."""
    said: list[str] = []

    class Tracker:
        def close(self) -> None:
            said.append("closed")

    def broken(look: EstimatorConfig) -> PeopleEstimator:
        raise RuntimeError("no models")

    def given_back() -> bool:
        said.append("given back")
        return True

    monkeypatch.setattr(worker, "give_freed_back", given_back)
    makers: list[worker.Make] = [lambda look: cast(PeopleEstimator, Tracker()), broken]
    for make in makers:
        one = worker.EstimatorWorker(EstimatorConfig(PoseBackend.MEDIAPIPE, PoseDetail.BODY, PoseRules()), make)
        one.end()
        one.join()
    assert said == ["closed", "given back"]
