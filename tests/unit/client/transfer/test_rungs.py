"""Rungs as the user sees them."""

from __future__ import annotations

import numpy as np
import pytest

from client.connection.types import Rung
from client.transfer.rungs import enlarged, rung_name
from motion.frame import FrameSize
from motion.pose_choice import PoseDetail

SIZE = FrameSize(8, 8)


def test_a_rung_is_named_by_what_is_seen() -> None:
    """Names say the height, and how often face and hands are found."""
    assert rung_name(Rung(PoseDetail.LIVE, 3, SIZE)) == "8 px, face and hands in one of 3 frames"
    assert rung_name(Rung(PoseDetail.LIVE, 0, SIZE)) == "8 px, face and hands in some of the frames"


@pytest.mark.parametrize("channels", [3, 4])
def test_pictures_of_the_right_size_stay(channels: int) -> None:
    """Nothing is computed for them."""
    picture = np.full((8, 8, channels), 90, np.uint8)
    assert enlarged(picture, SIZE) is picture


def test_an_enlarged_cut_out_has_no_dark_edge() -> None:
    """What is transparent has no colour of its own, so it must not mix into the person's edge."""
    picture = np.zeros((4, 4, 4), np.uint8)
    picture[:, :2] = (200, 100, 50, 255)
    shown = enlarged(picture, SIZE)
    assert shown.shape == (8, 8, 4)
    edge = shown[shown[..., 3] > 40]
    assert np.abs(edge[:, :3].astype(int) - (200, 100, 50)).max() <= 3
