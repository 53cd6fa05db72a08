"""The visible label."""

from __future__ import annotations

import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from provenance.label import Box, VisibleLabel, checked_label, head_box

GREY = np.full((256, 256, 3), 120, np.uint8)


def changed_box(picture) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what differs from grey."""
    rows, columns = np.nonzero((picture[..., :3] != 120).any(axis=2))
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_a_label_is_in_the_lower_left_corner() -> None:
    """White letters on a dark plate; the given picture stays as it is."""
    before = GREY.copy()
    labelled = VisibleLabel("AI-generated").burned(GREY, None)
    left, top, right, bottom = changed_box(labelled)
    assert (left < 10, bottom > 245) == (True, True)
    assert (right < 200, top > 220) == (True, True)
    assert labelled.max() > 240
    assert labelled.min() < 60
    np.testing.assert_array_equal(before, GREY)


@pytest.mark.parametrize(
    ("head", "corner"),
    [
        (Box(100, 20, 150, 70), "lower left"),
        (Box(0, 200, 80, 256), "lower right"),
        (Box(0, 220, 256, 256), "upper left"),
        (Box(0, 10, 10, 256), "lower right"),
    ],
)
def test_a_label_goes_where_no_head_is(head: Box, corner: str) -> None:
    """It takes the first corner that the head does not touch."""
    left, top, _, _ = changed_box(VisibleLabel("AI").burned(GREY, head))
    assert ("upper" if top < 128 else "lower", "left" if left < 128 else "right") == tuple(corner.split())


def test_a_label_hides_as_little_as_possible_of_a_head_that_is_everywhere() -> None:
    """With a head in all corners, the label is still there."""
    labelled = VisibleLabel("AI").burned(GREY, Box(-50, -50, 300, 300))
    assert (labelled != GREY).any()


def test_a_label_is_opaque_in_a_transparent_picture() -> None:
    """Otherwise the next program would drop it with the background."""
    clear = np.zeros((256, 256, 4), np.uint8)
    labelled = VisibleLabel("AI").burned(clear, None)
    assert set(np.unique(labelled[..., 3])) == {0, 255}


@pytest.mark.parametrize(("height_px", "width_px"), [(512, 512), (64, 64), (20, 300), (300, 20), (4, 4)])
@pytest.mark.parametrize("text", ["AI", "a" * 40])
def test_a_label_fits_into_every_picture(height_px: int, width_px: int, text: str) -> None:
    """A long text in a narrow picture is written smaller."""
    picture = np.full((height_px, width_px, 3), 120, np.uint8)
    labelled = VisibleLabel(text).burned(picture, None)
    assert labelled.shape == picture.shape
    assert (labelled != picture).any()
    if height_px >= 64:
        assert changed_box(labelled)[2] < width_px - 1


@pytest.mark.parametrize("text", ["", " ", "x" * 41, "naïve", "a\tb"])
def test_other_texts_are_refused(text: str) -> None:
    """The error says what a label may be."""
    with pytest.raises(ValueError, match="expected 1 to 40 printable ASCII characters, such as AI-generated"):
        checked_label(text)


def test_a_head_is_around_its_joints() -> None:
    """Hair and chin have no joints, so the box is larger; a pose without a head has none."""
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    assert head_box(Pose(joints_px, confidence)) is None
    joints_px[[skeleton.NOSE, skeleton.NECK]] = ((100, 50), (100, 80))
    confidence[[skeleton.NOSE, skeleton.NECK]] = 1
    assert head_box(Pose(joints_px, confidence)) == Box(85, 35, 115, 95)
