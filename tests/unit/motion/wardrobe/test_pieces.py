"""The wardrobe itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from motion.crop import resized
from motion.pose import Pose
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.limbs import LAYER_COUNT
from motion.wardrobe.pieces import Wardrobe
from tests.unit.motion.wardrobe.puppets import SIZE_PX, puppet_wardrobe


def test_a_wardrobe_cannot_be_changed(wardrobe: Wardrobe) -> None:
    """Sessions and threads share a wardrobe, so its arrays are read-only."""
    piece = wardrobe.piece(0, 0)
    assert piece is not None
    for array in (piece, wardrobe.pixels, wardrobe.frames, wardrobe.hidden, wardrobe.flaws):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0


def test_pieces_have_the_sizes_of_their_corners(wardrobe: Wardrobe) -> None:
    """Every piece lies inside the picture, and there is none where the size is 0."""
    for key_frame in range(wardrobe.key_frames):
        for layer in range(LAYER_COUNT):
            x, y, width, height = wardrobe.corners_px[key_frame, layer].tolist()
            piece = wardrobe.piece(key_frame, layer)
            assert (None if piece is None else piece.shape) == ((height, width, 4) if width else None)
            assert x >= 0
            assert x + width <= wardrobe.width_px
            assert y >= 0
            assert y + height <= wardrobe.height_px


def test_memory_counts_the_pixels(wardrobe: Wardrobe) -> None:
    """The memory that an actor's list shows contains all pieces."""
    assert wardrobe.pixels.nbytes < wardrobe.memory_bytes < wardrobe.pixels.nbytes + (1 << 20)


def test_facings_name_the_sides_that_the_footage_shows(standing: Pose) -> None:
    """A person seen from the front is "front"; the same outline with sides exchanged is seen from behind."""
    assert puppet_wardrobe([standing]).facings() == ("front",)
    behind = standing.mirrored(SIZE_PX / 2)
    turned = Pose(np.column_stack([256 - behind.joints_px[:, 0], behind.joints_px[:, 1]]), behind.confidence)
    assert puppet_wardrobe([standing, turned]).facings() == ("front", "back")


def test_a_profile_is_left_or_right_by_the_nose(standing: Pose) -> None:
    """In a profile one sees the right side of a person who looks to the picture's right."""
    middle_x = standing.joints_px[1, 0]
    narrow = standing.joints_px.copy()
    narrow[:, 0] = middle_x + 0.1 * (narrow[:, 0] - middle_x)
    for shift_px, facing in ((12, "right"), (-12, "left")):
        joints_px = narrow.copy()
        joints_px[0, 0] += shift_px
        assert puppet_wardrobe([Pose(joints_px, standing.confidence)]).facings() == (facing,)


@pytest.mark.parametrize("side_px", [192, 128])
def test_a_smaller_wardrobe_draws_the_same_smaller(wardrobe: Wardrobe, poses: list[Pose], side_px: int) -> None:
    """References of three quarters and half of the size show what the whole one shows, and keep its choice of limbs."""
    scale = side_px / SIZE_PX
    small = wardrobe.resized(side_px, side_px)
    assert small.memory_bytes < wardrobe.memory_bytes
    for pose in poses[::3]:
        whole = draw_reference(wardrobe, pose)
        drawn = draw_reference(small, pose.transformed(scale, scale), whole.choice)
        assert drawn.choice == whole.choice
        difference = cv2.absdiff(drawn.picture, resized(whole.picture, side_px, side_px))
        assert difference.mean() < 1.5


def test_pieces_of_a_smaller_wardrobe_lie_inside_its_picture(wardrobe: Wardrobe) -> None:
    """They also keep colours below their coverage, as a wardrobe's file must."""
    small = wardrobe.resized(192, 192)
    x, y, width, height = small.corners_px.transpose(2, 0, 1)
    assert (x + width <= 192).all()
    assert (y + height <= 192).all()
    assert (small.pixels[:, :3] <= small.pixels[:, 3:]).all()
    np.testing.assert_array_equal(small.has, wardrobe.has)


@pytest.mark.parametrize("size_px", [(256, 256), (512, 512), (128, 192)])
def test_only_smaller_sizes_of_the_same_proportions_are_possible(wardrobe: Wardrobe, size_px: tuple[int, int]) -> None:
    """An enlarged wardrobe would only be blurred."""
    with pytest.raises(ValueError, match="256x256 cannot be reduced"):
        wardrobe.resized(*size_px)
