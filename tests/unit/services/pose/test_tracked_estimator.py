"""Estimators that find several people keep them apart, and carry their own state beside the tracker's."""

from __future__ import annotations

import numpy as np
import pytest

from motion.frame import Picture
from motion.people.dancer_choice import DancerChoice
from motion.people.person_tracking import DancerTracker
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, Spent
from services.pose.tracked_estimator import TrackedEstimator, states
from tests.unit.motion.standing_people import standing

PICTURE: Picture = np.zeros((360, 640, 3), np.uint8)


class Walkers:
    """Finds one who walks to the right, one who stands still, and a faint one; its state is the number of pictures."""

    detail = PoseDetail.BODY

    def __init__(self, state: bytes) -> None:
        self.number = int(state or b"0")
        self.spent = Spent()
        self.closed = False

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        self.number += 1
        self.spent = Spent(network_seconds=float(self.number))
        people = [standing(620, confidence=0.2), standing(100 + 10 * self.number), standing(500)]
        return Estimate(people, 0, 0.5, state_after=str(self.number).encode())

    def close(self) -> None:
        self.closed = True


def continued(state: bytes) -> TrackedEstimator:
    """Return an estimator that continues from this state."""
    own, tracker = states(state)
    return TrackedEstimator(Walkers(own), DancerTracker(DancerChoice.parsed("nearest=0.8,0.5"), state=tracker))


def test_people_have_ids_and_the_dancer_is_chosen():
    """The faint person does not count yet, and the rule chooses among the others."""
    estimator = continued(b"")
    estimate = estimator.estimate(PICTURE, 0.0)
    assert estimate.person_ids == (1, 2)
    assert estimate.dancer is not None
    assert estimate.dancer.joints_px[1][0] == pytest.approx(500)
    assert estimate.compute_seconds > 0.5
    assert (estimator.detail, estimator.spent) == (PoseDetail.BODY, Spent(network_seconds=1.0))


def test_both_states_move_to_another_estimator():
    """An estimator that begins with the state continues with the same people, ids and pictures."""
    whole, state = continued(b""), b""
    for number in range(8):
        expected = whole.estimate(PICTURE, number * 0.04)
        moved = continued(state).estimate(PICTURE, number * 0.04)
        assert (moved.person_ids, moved.dancer_index) == (expected.person_ids, expected.dancer_index)
        for one, other in zip(moved.people, expected.people, strict=True):
            np.testing.assert_array_equal(one.joints_px, other.joints_px)
        state = moved.state_after
        assert state == expected.state_after
    assert expected.person_ids == (3, 1, 2)


def test_closing_closes_the_estimator():
    """The networks' memory belongs to it."""
    walkers = Walkers(b"")
    TrackedEstimator(walkers, DancerTracker()).close()
    assert walkers.closed


@pytest.mark.parametrize("state", [b"1", b"\x01\0\0\0", b"\x05\0\0\x000123456", b"\xff\xff\xff\xff12"])
def test_other_bytes_are_refused(state):
    """Bytes that are too short for both states, or hold no state of a tracker."""
    with pytest.raises(ValueError, match="not a state"):
        continued(state)
