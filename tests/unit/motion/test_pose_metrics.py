"""OKS and PCK measure how similar two poses are."""

from __future__ import annotations

import numpy as np
import pytest

from motion.pose import Pose
from motion.pose_metrics import oks, pck
from tests.unit.motion.standing_people import standing


def test_similarity_is_1_for_the_same_pose_and_falls_with_distance():
    """OKS and PCK are 1 for the same pose and lower for moved joints; only joints of the truth count."""
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
