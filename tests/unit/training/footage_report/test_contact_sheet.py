"""The contact sheet of a wardrobe."""

import numpy as np
import pytest

from motion.wardrobe.limbs import Limb
from motion.wardrobe.make import make_wardrobe
from tests.unit.training.footage_report.people import SIZE, person
from training.footage_report.contact_sheet import contact_sheet, seen_from

RED = (200, 30, 30)


def wardrobe_of(*poses):
    """A wardrobe of a red person, whose mask is the whole picture."""
    shape = (SIZE.height_px, SIZE.width_px)
    pictures = [np.full((*shape, 3), RED, np.uint8) for _ in poses]
    masks = [np.full(shape, 255, np.uint8) for _ in poses]
    return make_wardrobe(pictures, masks, poses, range(len(poses)))


@pytest.fixture(scope="module")
def sheet():
    """The sheet of a person seen from the front and the left, with one arm up and down."""
    return contact_sheet(wardrobe_of(person(), person(left_arm_deg=170), person(turn_deg=-90)))


def test_the_sheet_shows_the_facings_that_there_are(sheet):
    """Front and left side are shown; the right side and the back are not."""
    assert [facing for facing, picture in sheet.facings.items() if picture is not None] == ["front", "left"]
    front = sheet.facings["front"]
    assert (front == RED).all(axis=2).mean() > 0.1


def test_every_limb_has_a_row(sheet):
    """The rows have the limbs in order, and count the key frames that show them."""
    assert [row.limb for row in sheet.limbs] == list(Limb)
    assert all(row.key_frames <= sheet.key_frames == 3 for row in sheet.limbs)
    hand = sheet.limbs[Limb.LEFT_HAND]
    assert hand.picture.shape[1] == hand.key_frames * hand.picture.shape[0]
    assert (np.abs(hand.picture.astype(int) - RED).max(axis=2) < 40).any()


def test_a_limb_that_no_key_frame_shows_has_no_picture():
    """A person without hands and feet has rows without pictures."""
    pose = person()
    confidence = pose.confidence.copy()
    confidence[25:] = confidence[[19, 22]] = 0
    sheet = contact_sheet(wardrobe_of(type(pose)(pose.joints_px, confidence)))
    foot = sheet.limbs[Limb.LEFT_FOOT]
    assert (foot.key_frames, foot.picture) == (0, None)


def test_facings_are_named_in_words():
    """One, two and three sides read as people say them; without any there is nothing to name."""
    assert seen_from(["back"]) == "back"
    assert seen_from(["front", "left"], "or") == "front or left side"
    assert seen_from(["front", "left", "back"]) == "front, left side and back"
    with pytest.raises(ValueError, match="at least one facing"):
        seen_from([])
