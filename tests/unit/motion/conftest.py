"""A standing pose for the motion tests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from motion.pose import Pose

# Slow machines must not make property tests fail.
settings.register_profile("busy machine", deadline=None)
settings.load_profile("busy machine")


@pytest.fixture(scope="session")
def standing(root: Path) -> Pose:
    """A person who stands in a frame of 256 x 256 pixels and waves the left hand, with all joints seen."""
    golden = json.loads((root / "tests/golden/standing_pose.json").read_text())
    joints = np.array(golden["joints"], np.float32)
    return Pose(joints[:, :2], joints[:, 2])
