"""Which views of the person frames show."""

import numpy as np
import pytest

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose
from tests.unit.training.footage_report.people import SIZE, person
from training.footage_report.coverage import View, views_shown


def shown(*poses):
    """The views that the last of these poses shows."""
    return {view for view, flags in views_shown(poses, SIZE).items() if flags[-1]}


FACINGS = {View.FRONT, View.LEFT_SIDE, View.RIGHT_SIDE, View.BACK}


@pytest.mark.parametrize(
    ("turn_deg", "view"),
    [(0, View.FRONT), (30, View.FRONT), (-90, View.LEFT_SIDE), (90, View.RIGHT_SIDE), (180, View.BACK)],
)
def test_a_frame_shows_the_side_that_the_camera_sees(turn_deg, view):
    """A person who turns until their left side faces the camera shows the left side, and so on."""
    assert shown(person(), person(turn_deg=turn_deg)) & FACINGS == {view}


def test_arms_are_away_from_the_body_when_both_are_stretched_out():
    """Stretched arms hide nothing of the trunk; one hanging arm does."""
    assert View.ARMS_AWAY in shown(person(left_arm_deg=90, right_arm_deg=90))
    assert View.ARMS_AWAY not in shown(person(left_arm_deg=90, right_arm_deg=5))


def test_each_raised_arm_counts_for_itself():
    """A wrist above the nose is a raised arm."""
    views = shown(person(left_arm_deg=170, right_arm_deg=10))
    assert View.LEFT_ARM_UP in views
    assert View.RIGHT_ARM_UP not in views


@pytest.mark.parametrize(("reach", "suffix"), [(1.9, "OPEN"), (1.0, "CLOSED"), (1.4, None)])
def test_a_hand_is_open_closed_or_neither(reach, suffix):
    """Fingertips far from the wrist are an open hand, near ones a fist; between them the hand is neither."""
    for side in ("LEFT", "RIGHT"):
        views = shown(person(**{f"{side.lower()}_reach": reach}))
        hands = {view.name for view in views if view.name.startswith(f"{side}_HAND")}
        assert hands == ({f"{side}_HAND_{suffix}"} if suffix else set())


def test_a_foot_outside_the_picture_is_not_shown():
    """A foot counts if ankle, heel and toe are inside the frame."""
    pose = person()
    joints_px = pose.joints_px.copy()
    joints_px[skeleton.L_BIG_TOE, 1] = SIZE.height_px + 1
    views = shown(Pose(joints_px, pose.confidence))
    assert View.RIGHT_FOOT in views
    assert View.LEFT_FOOT not in views


def test_frames_without_a_person_show_nothing():
    """Neither a missing person nor footage without one is an error."""
    assert not any(flags.any() for flags in views_shown([None, None], FrameSize(64, 64)).values())
    views = views_shown([None, person()], SIZE)
    assert views[View.FRONT].tolist() == [False, True]


@pytest.mark.parametrize("seed", range(20))
def test_missing_joints_are_no_error(seed):
    """Any subset of the joints can be measured."""
    pose = person()
    random = np.random.default_rng(seed)
    confidence = pose.confidence * (random.random(len(pose.confidence)) < random.random())
    assert shown(person(), Pose(pose.joints_px, confidence.astype(np.float32))) <= set(View)
