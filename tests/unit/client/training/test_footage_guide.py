"""What a guide says while a person films."""

from __future__ import annotations

import numpy as np
import pytest

from client.training.footage_guide import VIEWS, FootageGuide
from motion.pose import Pose
from tests.unit.training.footage_report.people import SIZE, person
from training.footage_report.coverage import views_shown

FRAMES_A_SECOND = 15


def test_the_guide_agrees_with_the_report_on_the_footage():
    """What it counts while filming is what `dance prepare` finds afterwards."""
    turns = np.linspace(0, 360, 60)
    poses = [person(turn_deg=turn, left_arm_deg=turn / 2, right_reach=1.0 if turn > 180 else 1.9) for turn in turns]
    guide = FootageGuide()
    for index, pose in enumerate([poses[0], *poses]):
        guide.see(pose, index / FRAMES_A_SECOND, SIZE)
    reported = {
        view.value.replace(" ", "_"): flags.sum() / FRAMES_A_SECOND
        for view, flags in views_shown(poses, SIZE).items()
        if flags.any()
    }
    assert guide.seconds == pytest.approx(reported, abs=0.2)
    assert set(guide.seconds) <= set(VIEWS)


def test_time_without_frames_does_not_count():
    """A person who left for a minute was not filmed for a minute."""
    guide = FootageGuide()
    for at_s in (0.0, 0.1, 60.0):
        assert "front" in guide.see(person(), at_s, SIZE)
    assert guide.seconds["front"] == pytest.approx(0.35)


def test_an_empty_frame_and_a_pose_without_limbs_show_nothing():
    """Neither fails, and neither counts."""
    guide = FootageGuide()
    assert guide.see(None, 0.0, SIZE) == []
    assert guide.see(Pose.nothing_seen(), 0.1, SIZE) == []
    assert guide.seconds == {}
