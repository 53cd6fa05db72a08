"""A tracker's state moves to another tracker, which continues as if there had been no other."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from motion.frame import FrameSize
from motion.people.dancer_choice import DancerChoice
from motion.people.person_tracking import DancerTracker, TrackingRules
from motion.people.track import Track
from motion.people.tracker_state import TrackerState
from motion.pose import Pose
from tests.unit.motion.standing_people import standing

SIZE = FrameSize(640, 360)
RULES = TrackingRules(remember_seconds=0.6, confirm_frames=3)


def crossing(number: int) -> list[Pose]:
    """Two people who cross, of whom one is away for a while, and a faint third one."""
    people = [standing(100 + 8 * number, height_px=240)]
    if not 15 <= number <= 35:
        people.insert(number % 2, standing(500 - 8 * number, top_px=90, height_px=150))
    if number % 10 < 4:
        people.append(standing(620, confidence=0.2))
    return people


def test_a_tracker_continues_where_another_one_stopped():
    """After any frame, a new tracker with the state gives the same answers and the same states."""
    choice = DancerChoice.parsed("nearest=0.8,0.5")
    whole, moved = DancerTracker(choice, RULES), DancerTracker(choice, RULES)
    dancers = set()
    for number in range(50):
        moved = DancerTracker(choice, RULES, moved.state_after())
        time_s = None if number in (7, 8) else number * 0.04
        expected = whole.track(crossing(number), SIZE, time_s)
        assert moved.track(crossing(number), SIZE, time_s) == expected
        assert moved.state_after() == whole.state_after()
        dancers.add(expected.person_ids[expected.dancer_index] if expected.dancer_index >= 0 else None)
    assert len(dancers) == 3  # one dancer, none, another one


def test_two_people_take_a_kilobyte():
    """A state travels with every answer, so it is small."""
    tracker = DancerTracker()
    tracker.track([standing(100), standing(400)], SIZE, 0.0)
    assert len(tracker.state_after()) < 1024


def track(person_id: int, size_px: float = 100.0, unseen_seconds: float = 0.0) -> Track:
    """Return a track with one known joint."""
    known = np.arange(25) == 3
    return Track(person_id, np.ones((25, 2)), known, size_px, unseen_seconds=unseen_seconds, sightings=1)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x", "not a state"),
        (b"dance-tracker-0\n" + bytes(40), "not a state"),
        (TrackerState().to_bytes()[:-1], "a damaged state"),
        (TrackerState([track(1), track(1)], last_id=1), "numbers of their own"),
        (TrackerState([track(3)], last_id=2), "numbers of their own"),
        (TrackerState([track(1, size_px=float("nan"))], last_id=1), "missing numbers"),
        (TrackerState([track(1, unseen_seconds=-1.0)], last_id=1), "negative"),
        (TrackerState(lost_seconds=float("inf")), "beyond"),
        (TrackerState(last_time_s=float("nan")), "missing"),
        (TrackerState([track(0)] * 129), "129 people, expected at most 128"),
    ],
)
def test_other_bytes_are_refused(data: bytes | TrackerState, said: str):
    """Bytes of another format, damaged ones, and numbers that no video leads to."""
    with pytest.raises(ValueError, match=said):
        TrackerState.from_bytes(data if isinstance(data, bytes) else data.to_bytes())


@pytest.mark.parametrize(("change", "said"), [(lambda body: body + b"1", "1 extra"), (lambda body: body[:-1], ".")])
def test_bytes_of_another_length_are_refused(change, said):
    """A body that is too long or too short is refused, though its checksum is right."""
    state = TrackerState([track(1)], last_id=1).to_bytes()
    body = change(state[20:])
    for cut in range(len(body) if said == "." else 1):
        shorter = body[: len(body) - cut]
        with pytest.raises(ValueError, match=said):
            TrackerState.from_bytes(state[:16] + struct.pack("<I", zlib.crc32(shorter)) + shorter)


@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=4))
@settings(deadline=None, max_examples=100)
def test_no_state_breaks_a_tracker(cut: int, changes: list[tuple[int, int]]):
    """Changed and cut bytes with a valid checksum are refused, or lead to a tracker that works."""
    tracker = DancerTracker(rules=RULES)
    for number in range(3):
        tracker.track(crossing(number), SIZE, number * 0.04)
    state = tracker.state_after()
    body = bytearray(state[20:])
    for place, value in changes:
        body[place % len(body)] = value
    body = body[: len(body) - cut] if cut < len(body) else body
    sealed = state[:16] + struct.pack("<I", zlib.crc32(body)) + body
    try:
        changed = DancerTracker(rules=RULES, state=sealed)
    except ValueError:
        return
    for number in range(3, 6):
        assert len(changed.track(crossing(number), SIZE, number * 0.04).kept) <= 3
