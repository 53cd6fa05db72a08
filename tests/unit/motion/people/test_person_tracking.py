"""People keep their numbers, and one of them stays the dancer."""

from __future__ import annotations

import numpy as np
import pytest

from motion import skeleton
from motion.frame import FrameSize
from motion.people.dancer_choice import DancerChoice, DancerRule, place_of
from motion.people.person_tracking import Follower, FollowRules
from motion.pose import Pose
from motion.pose_metrics import oks, pck

SIZE = FrameSize(640, 360)
FRAME_SECONDS = 0.04
# BODY_25 of somebody who stands, in fractions of their height.
STANDING = np.array(
    [
        (0, 0.08), (0, 0.2), (-0.13, 0.2), (-0.2, 0.36), (-0.22, 0.5), (0.13, 0.2), (0.2, 0.36), (0.22, 0.5),
        (0, 0.52),
        (-0.08, 0.52), (-0.09, 0.74), (-0.1, 0.96), (0.08, 0.52), (0.09, 0.74), (0.1, 0.96), (-0.03, 0.05),
        (0.03, 0.05), (-0.06, 0.06), (0.06, 0.06), (0.14, 1), (0.16, 1), (0.08, 0.98),
        (-0.14, 1), (-0.16, 1), (-0.08, 0.98),
    ]
)  # fmt: skip


def standing(x_px: float, *, top_px: float = 60, height_px: float = 200, confidence: float = 0.8) -> Pose:
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    seen = np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[skeleton.BODY] = STANDING * height_px + (x_px, top_px)
    seen[skeleton.BODY] = confidence
    return Pose(joints_px, seen)


def followed(frames, choice=None, rules=None):
    """What a follower says of each frame, at 25 frames a second."""
    follower = Follower(choice, rules)
    return [follower.follow(people, SIZE, number * FRAME_SECONDS) for number, people in enumerate(frames)]


def test_two_who_cross_keep_their_numbers():
    """One walks to the right, one to the left, at different depths; at the crossing one of them is hidden."""
    frames = []
    for number in range(50):
        near = standing(100 + 8 * number, height_px=240)
        far = standing(500 - 8 * number, top_px=90, height_px=150)
        frames.append([near] if 22 <= number <= 28 else [far, near] if number % 2 else [near, far])
    said = followed(frames)
    for number, who in enumerate(said):
        ids = dict(zip(who.person_ids, frames[number], strict=True))
        assert set(ids) == ({1} if 22 <= number <= 28 else {1, 2})
        assert ids[1].joints_px[skeleton.NECK][0] == pytest.approx(100 + 8 * number)
        assert who.person_ids[who.dancer_index] == 1
        assert not who.lost


@pytest.mark.parametrize("hertz", [5, 25, 60])
def test_numbers_hold_at_any_rate(hertz):
    """Somebody who walks half their height in a second stays one person at 5, 25 and 60 frames a second."""
    follower = Follower()
    ids = [
        follower.follow([standing(100 + 100 * t / hertz), standing(500)], SIZE, t / hertz).person_ids
        for t in range(2 * hertz)
    ]
    assert set(ids) == {(1, 2)}


def test_a_short_absence_is_forgiven_and_a_long_one_is_not():
    """Back within `remember_seconds` near the old place: the same number. Later: a new one."""
    rules = FollowRules(remember_seconds=1.0)
    for away_frames, number in ((20, 1), (30, 2)):
        said = followed([*[[standing(300)]] * 5, *[[]] * away_frames, [standing(310)]], rules=rules)
        assert said[-1].person_ids == (number,)
        assert all(who.lost for who in said[5:-1])


def test_a_lost_dancer_is_not_replaced_before_its_time():
    """While the dancer is away nobody else dances, though somebody is there; then the rule chooses again."""
    rules = FollowRules(remember_seconds=1.0)
    other = standing(550, height_px=120)
    said = followed([*[[standing(200), other]] * 5, *[[other]] * 30], rules=rules)
    lost = [who for who in said[5:] if who.lost]
    assert len(lost) == 25
    assert {who.dancer_index for who in lost} == {-1}
    changed = [number for number, who in enumerate(said) if who.changed]
    assert changed == [30]
    assert said[30].person_ids[said[30].dancer_index] == 2


def test_a_dancer_by_number_is_never_replaced():
    """With id=1 the dancer stays lost however long it takes."""
    choice = DancerChoice(DancerRule.PERSON, person_id=1)
    said = followed([[standing(200)], *[[standing(550)]] * 60], choice=choice, rules=FollowRules(remember_seconds=0.5))
    assert said[0].dancer_index == 0
    assert all(who.lost and who.dancer_index == -1 for who in said[1:])


@pytest.mark.parametrize(
    ("rule", "chosen"),
    [("largest", 1), ("centre", 2), ("nearest=0.9,0.5", 3), ("id=3", 3)],
)
def test_each_rule_chooses_its_dancer(rule, chosen):
    """Three people: a large one on the left, one in the middle, one on the right."""
    people = [standing(80, height_px=280), standing(330), standing(560, height_px=150)]
    (who,) = followed([people], DancerChoice.parsed(rule))
    assert who.person_ids[who.dancer_index] == chosen


@pytest.mark.parametrize(
    "rule", ["", "biggest", "largest=1", "nearest", "nearest=1", "nearest=a,b", "nearest=7,0", "id=0", "id=x"]
)
def test_rules_that_are_none_are_refused(rule):
    """The message says what was expected."""
    with pytest.raises(ValueError, match=r"expected|fractions|numbered|convert|invalid|enough"):
        DancerChoice.parsed(rule)


def test_what_flickers_is_nobody():
    """Unsure people count once seen in some frames in a row; a sure one at once."""
    ghost, sure = standing(500, confidence=0.2), standing(100)
    frames = [[ghost, sure], [sure], *[[sure]] * 6, [ghost, sure], [ghost, sure], [ghost, sure]]
    said = followed(frames, rules=FollowRules(unsure_frames=3))
    assert [who.kept for who in said] == [(1,), (0,), *[(0,)] * 6, (1,), (1,), (0, 1)]
    assert said[-1].person_ids == (2, 1)
    assert all(who.person_ids[who.dancer_index] == 1 for who in said)


def test_a_half_hidden_body_is_the_same_person():
    """Of whom only the legs are seen for a while is still who they were, also once all of them is seen again."""
    whole = standing(300)
    hidden = whole.confidence.copy()
    hidden[[0, 1, 2, 3, 4, 5, 6, 7, 15, 16, 17, 18]] = 0
    legs = Pose(whole.joints_px, hidden)
    said = followed([*[[whole]] * 3, *[[legs]] * 20, *[[whole]] * 3])
    assert {who.person_ids for who in said} == {(1,)}


def test_times_that_stand_still_or_jump_do_no_harm():
    """A clock that repeats, runs back or leaps is a clock all the same."""
    follower = Follower()
    for time_s in (0.0, 0.0, 5.0, 4.0, None, 1e9):
        assert follower.follow([standing(300)], SIZE, time_s).person_ids == (1,)


def test_known_numbers_are_kept():
    """Numbers that a file has given are not dealt out anew."""
    follower = Follower(DancerChoice(DancerRule.PERSON, person_id=9))
    who = follower.follow([standing(100), standing(400)], SIZE, 0.0, person_ids=[4, 9])
    assert (who.person_ids, who.dancer_index) == ((4, 9), 1)


def test_a_place_is_a_fraction_of_the_frame():
    """The middle of somebody in the middle of the frame."""
    assert place_of(standing(320), SIZE)[0] == pytest.approx(0.5, abs=0.02)


def test_likeness_is_1_for_the_same_pose_and_falls_with_distance():
    """OKS and PCK: 1 for the same, less for moved joints, and only over joints that the truth has."""
    truth = standing(300)
    assert oks(truth, truth) == 1
    assert pck(truth, truth) == 1
    near, far = standing(304), standing(400)
    assert 0.5 < oks(near, truth) < 1
    assert oks(far, truth) < 0.1
    assert pck(near, truth) == 1
    assert pck(far, truth) == 0
    assert np.isnan(oks(truth, Pose.nothing_seen()))
    half = truth.confidence.copy()
    half[:12] = 0
    assert oks(Pose(truth.joints_px, half), truth) == pytest.approx(13 / 25)
    assert oks(truth, Pose(truth.joints_px, half)) == 1


@pytest.mark.parametrize("nonsense", [{"min_likeness": 0}, {"remember_seconds": -1}, {"unsure_frames": 0}])
def test_nonsense_rules_are_refused_by_name(nonsense):
    """The message names the rule."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        FollowRules(**nonsense)
