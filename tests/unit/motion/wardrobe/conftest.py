"""A wardrobe of a drawn person."""

from __future__ import annotations

import pytest

from motion.pose import Pose
from motion.wardrobe.pieces import Wardrobe
from tests.unit.motion.wardrobe.puppets import dancing, puppet_wardrobe


@pytest.fixture(scope="session")
def poses(standing: Pose) -> list[Pose]:
    """Ten poses with different arms and legs."""
    return [dancing(standing, (0.25 * step, -0.2 * step), (0.05 * step, -0.04 * step)) for step in range(10)]


@pytest.fixture(scope="session")
def wardrobe(poses: list[Pose]) -> Wardrobe:
    """The wardrobe of those poses."""
    return puppet_wardrobe(poses)
