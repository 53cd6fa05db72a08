"""`TrackedEstimator`: an estimator that finds several people, and a tracker that keeps them apart."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from typing import Final

from motion.frame import FrameSize, Picture
from motion.people.person_tracking import DancerTracker
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, PeopleEstimator, Spent

_LENGTH: Final = struct.Struct("<I")  # of the estimator's own state; the tracker's follows


class TrackedEstimator:
    """Gives the people that `estimator` finds their ids, drops uncertain ones, and chooses the dancer.

    Used by one thread at a time. `Estimate.state_after` holds the states of both; see `states`.
    """

    def __init__(self, estimator: PeopleEstimator, tracker: DancerTracker) -> None:
        self._estimator = estimator
        self._tracker = tracker

    @property
    def detail(self) -> PoseDetail:
        """The estimator's."""
        return self._estimator.detail

    @property
    def spent(self) -> Spent:
        """The estimator's, for the last picture."""
        return self._estimator.spent

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """See `PeopleEstimator.estimate`."""
        found = self._estimator.estimate(picture, time_s)
        started = time.perf_counter()
        who = self._tracker.track(found.people, FrameSize(picture.shape[1], picture.shape[0]), time_s)
        state = b"".join([_LENGTH.pack(len(found.state_after)), found.state_after, self._tracker.state_after()])
        return replace(
            found,
            people=[found.people[index] for index in who.kept],
            dancer_index=who.dancer_index,
            person_ids=who.person_ids,
            dancer_lost=who.lost,
            dancer_changed=who.changed,
            state_after=state,
            compute_seconds=found.compute_seconds + time.perf_counter() - started,
        )

    def close(self) -> None:
        """Close the estimator."""
        self._estimator.close()


def states(state: bytes) -> tuple[bytes, bytes]:
    """Return the states of the estimator and of the tracker in a `state_after`; of an empty one, two empty ones.

    Raises ValueError, whose text follows "is", for bytes that are no such state.
    """
    if not state:
        return b"", b""
    if len(state) < _LENGTH.size:
        raise ValueError(f"not a state of tracked people: {len(state)} bytes")
    (length,) = _LENGTH.unpack_from(state)
    own, tracked = state[_LENGTH.size : _LENGTH.size + length], state[_LENGTH.size + length :]
    if not tracked:
        raise ValueError("not a state of tracked people")
    return own, tracked
