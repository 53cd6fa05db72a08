"""Choosing key frames."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion.pose import Pose
from motion.wardrobe.choose import CHOICE_BYTES, NOTHING, Choice, choose
from motion.wardrobe.limbs import LAYER_COUNT, Limb
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.placing import place
from tests.unit.motion.wardrobe.puppets import dancing


@given(st.lists(st.integers(NOTHING, 1023), min_size=LAYER_COUNT, max_size=LAYER_COUNT))
def test_a_choice_survives_its_bytes(key_frames: list[int]) -> None:
    """A choice travels as a few bytes and comes back equal."""
    data = Choice(tuple(key_frames)).to_bytes()
    assert len(data) == CHOICE_BYTES
    assert Choice.from_bytes(data) == Choice(tuple(key_frames))


@pytest.mark.parametrize("data", [b"", b"x", bytes(CHOICE_BYTES + 1), bytes(CHOICE_BYTES), b"\xff" * CHOICE_BYTES])
def test_other_bytes_are_refused(data: bytes) -> None:
    """Bytes of another length, of another number of layers or with other negative numbers are an error."""
    with pytest.raises(ValueError, match="expected a choice"):
        Choice.from_bytes(data)


def test_an_arm_comes_from_the_frame_in_which_it_is_held_alike(wardrobe: Wardrobe, standing: Pose) -> None:
    """Each limb is chosen by itself: here the right arm of one frame and the left arm of another."""
    choice = choose(wardrobe, place(dancing(standing, (0.25 * 8, -0.2 * 1)), wardrobe.limb_lengths_px))
    assert abs(choice.key_frames[Limb.RIGHT_UPPER_ARM] - 8) <= 1
    assert abs(choice.key_frames[Limb.LEFT_UPPER_ARM] - 1) <= 1


def test_an_unseen_hand_follows_its_forearm(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """A hand without points comes from the frame of its forearm, so that they fit together."""
    confidence = poses[3].confidence.copy()
    confidence[95:] = 0
    choice = choose(wardrobe, place(Pose(poses[3].joints_px, confidence), wardrobe.limb_lengths_px))
    assert choice.key_frames[Limb.LEFT_HAND] == choice.key_frames[Limb.LEFT_FOREARM]
    assert choice.key_frames[Limb.RIGHT_HAND] == choice.key_frames[Limb.RIGHT_FOREARM]


def test_a_key_frame_without_the_limb_is_never_chosen(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """A layer is chosen among the key frames that have a piece for it."""
    for pose in poses:
        for layer, key_frame in enumerate(choose(wardrobe, place(pose, wardrobe.limb_lengths_px)).key_frames):
            assert key_frame == NOTHING or wardrobe.has[key_frame, layer]


def test_costs_are_finite_for_any_body(wardrobe: Wardrobe) -> None:
    """A body without a single limb still has a choice."""
    choice = choose(wardrobe, place(Pose.nothing_seen(), wardrobe.limb_lengths_px))
    assert np.isin(choice.key_frames, np.arange(NOTHING, wardrobe.key_frames)).all()
