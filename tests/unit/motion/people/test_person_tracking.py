"""Tracked people keep their numbers, and one of them stays the dancer."""

from __future__ import annotations

import pytest

from motion import skeleton
from motion.frame import FrameSize
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.people.person_tracking import DancerTracker, TrackingRules
from motion.pose import Pose
from tests.unit.motion.standing_people import standing

SIZE = FrameSize(640, 360)
FRAME_SECONDS = 0.04


def tracked(frames, choice=None, rules=None):
    """Track all frames at 25 frames per second, and return the results."""
    tracker = DancerTracker(choice, rules)
    return [tracker.track(people, SIZE, number * FRAME_SECONDS) for number, people in enumerate(frames)]


def test_crossing_people_keep_their_numbers():
    """Two people who cross at different depths keep their numbers, although one is hidden during the crossing."""
    frames = []
    for number in range(50):
        near = standing(100 + 8 * number, height_px=240)
        far = standing(500 - 8 * number, top_px=90, height_px=150)
        frames.append([near] if 22 <= number <= 28 else [far, near] if number % 2 else [near, far])
    results = tracked(frames)
    for number, result in enumerate(results):
        ids = dict(zip(result.person_ids, frames[number], strict=True))
        assert set(ids) == ({1} if 22 <= number <= 28 else {1, 2})
        assert ids[1].joints_px[skeleton.NECK][0] == pytest.approx(100 + 8 * number)
        assert result.person_ids[result.dancer_index] == 1
        assert not result.lost


@pytest.mark.parametrize("hertz", [5, 25, 60])
def test_numbers_hold_at_any_rate(hertz):
    """A person who walks half their height per second keeps their number at 5, 25 and 60 frames per second."""
    tracker = DancerTracker()
    ids = [
        tracker.track([standing(100 + 100 * t / hertz), standing(500)], SIZE, t / hertz).person_ids
        for t in range(2 * hertz)
    ]
    assert set(ids) == {(1, 2)}


def test_a_number_survives_only_a_short_absence():
    """A person who returns within `remember_seconds` near their last place keeps their number, later they do not."""
    rules = TrackingRules(remember_seconds=1.0)
    for away_frames, number in ((20, 1), (30, 2)):
        results = tracked([*[[standing(300)]] * 5, *[[]] * away_frames, [standing(310)]], rules=rules)
        assert results[-1].person_ids == (number,)
        assert all(result.lost for result in results[5:-1])


def test_a_lost_dancer_is_not_replaced_too_early():
    """While the dancer is remembered, no other person becomes the dancer; after that the rule chooses again."""
    rules = TrackingRules(remember_seconds=1.0)
    other = standing(550, height_px=120)
    results = tracked([*[[standing(200), other]] * 5, *[[other]] * 30], rules=rules)
    lost = [result for result in results[5:] if result.lost]
    assert len(lost) == 25
    assert {result.dancer_index for result in lost} == {-1}
    changed = [number for number, result in enumerate(results) if result.changed]
    assert changed == [30]
    assert results[30].person_ids[results[30].dancer_index] == 2


def test_a_dancer_by_number_is_never_replaced():
    """With id=1 the dancer stays lost, however long they are away."""
    choice = DancerChoice(DancerRule.PERSON, person_id=1)
    results = tracked(
        [[standing(200)], *[[standing(550)]] * 60], choice=choice, rules=TrackingRules(remember_seconds=0.5)
    )
    assert results[0].dancer_index == 0
    assert all(result.lost and result.dancer_index == -1 for result in results[1:])


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [("largest", 1), ("centre", 2), ("nearest=0.9,0.5", 3), ("id=3", 3)],
)
def test_each_rule_chooses_its_dancer(rule, chosen):
    """Among a large person on the left, one in the centre and one on the right, each rule finds its dancer."""
    people = [standing(80, height_px=280), standing(330), standing(560, height_px=150)]
    (result,) = tracked([people], DancerChoice.parsed(rule))
    assert result.person_ids[result.dancer_index] == chosen


def test_flickering_detections_are_not_people():
    """A person with low confidence counts only after several consecutive frames, one with high confidence at once."""
    ghost, sure = standing(500, confidence=0.2), standing(100)
    frames = [[ghost, sure], [sure], *[[sure]] * 6, [ghost, sure], [ghost, sure], [ghost, sure]]
    results = tracked(frames, rules=TrackingRules(confirm_frames=3))
    assert [result.kept for result in results] == [(1,), (0,), *[(0,)] * 6, (1,), (1,), (0, 1)]
    assert results[-1].person_ids == (2, 1)
    assert all(result.person_ids[result.dancer_index] == 1 for result in results)


def test_a_half_hidden_body_is_the_same_person():
    """A person keeps their number while only the legs are visible, and after the whole body is visible again."""
    whole = standing(300)
    hidden = whole.confidence.copy()
    hidden[[0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18]] = 0
    legs = Pose(whole.joints_px, hidden)
    results = tracked([*[[whole]] * 3, *[[legs]] * 20, *[[whole]] * 3])
    assert {result.person_ids for result in results} == {(1,)}


def test_irregular_times_keep_the_number():
    """A person keeps their number if times repeat, run backwards, jump or are missing."""
    tracker = DancerTracker()
    for time_s in (0.0, 0.0, 5.0, 4.0, None, 1e9):
        assert tracker.track([standing(300)], SIZE, time_s).person_ids == (1,)


def test_known_numbers_are_kept():
    """Person numbers given by the source are used as they are."""
    tracker = DancerTracker(DancerChoice(DancerRule.PERSON, person_id=9))
    result = tracker.track([standing(100), standing(400)], SIZE, 0.0, person_ids=[4, 9])
    assert (result.person_ids, result.dancer_index) == ((4, 9), 1)


def test_a_crowd_does_not_grow_without_end():
    """Only the last 128 people are remembered, and the dancer among them stays."""
    tracker = DancerTracker(DancerChoice(DancerRule.PERSON, person_id=1))
    dancer = standing(300)
    for number in range(60):
        # Each pair appears for one frame, far from the others, and is remembered for three seconds.
        others = [standing(10_000 * (3 * number + place)) for place in range(1, 4)]
        result = tracker.track([dancer, *others], SIZE, number * FRAME_SECONDS)
        assert result.person_ids[result.dancer_index] == 1
    assert len(tracker.state_after()) < 2**16
    assert result.person_ids == (1, 179, 180, 181)


@pytest.mark.parametrize("nonsense", [{"min_similarity": 0}, {"remember_seconds": -1}, {"confirm_frames": 0}])
def test_invalid_tracking_rules_are_rejected(nonsense):
    """The error names the invalid field."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        TrackingRules(**nonsense)
