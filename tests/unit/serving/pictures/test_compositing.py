"""Laying a person over a background."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from motion.crop import Crop
from motion.frame import FrameSize, Picture, RgbaPicture
from serving.pictures.compositing import (
    changed_like,
    covering,
    laid_on_footage,
    laid_over,
    on_footage,
    person_resized,
    premultiplied,
    with_colours_spread,
    with_straight_alpha,
    without_old_place,
)

SIDE_PX = 96
SKIN = np.array([200, 140, 90], np.uint8)


def disc(colour: Picture = SKIN, *, old_place: Picture | None = None, blur_px: float = 2.0) -> RgbaPicture:
    """A person: a disc with a soft edge. old_place: a colour that is mixed into the edge, as in filmed pictures."""
    hard = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.circle(hard, (SIDE_PX // 2, SIDE_PX // 2), SIDE_PX // 4, (255,), -1)
    sure = cv2.GaussianBlur(hard, (0, 0), 1.0)[..., None] / 255
    alpha = cv2.GaussianBlur(hard, (0, 0), blur_px)
    behind = colour if old_place is None else old_place
    shown = sure * colour + (1 - sure) * behind
    return np.dstack([np.rint(shown * (alpha[..., None] / 255)), alpha]).astype(np.uint8)


def of_colour(*colour: int, width_px: int = SIDE_PX, height_px: int = SIDE_PX) -> Picture:
    """A picture of one colour."""
    return np.full((height_px, width_px, 3), colour, np.uint8)


def test_a_person_lies_over_the_background():
    """Opaque pixels are the person's, clear ones the background's, and the rest lies between them, to two levels."""
    person, background = disc(), of_colour(10, 60, 220)
    over = laid_over(person, background)
    expected = person[..., :3] + background * (1 - person[..., 3:] / 255)
    assert np.abs(over - expected).max() <= 2
    assert np.abs(over - expected)[person[..., 3] > 2].max() <= 0.51
    assert (background == (10, 60, 220)).all()


def test_nothing_lies_over_the_background():
    """A frame without any person is the background."""
    background = of_colour(1, 2, 3)
    empty = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
    assert (laid_over(empty, background) == background).all()
    assert not without_old_place(empty).any()


def test_a_faint_veil_disappears():
    """Networks leave an opacity of one or two levels around the person: it is not laid over another background."""
    person = disc()
    veiled = np.maximum(person, np.array([1, 1, 1, 2], np.uint8))
    cleaned = without_old_place(veiled)
    assert not cleaned[person[..., 3] == 0].any()
    background = of_colour(250, 250, 250)
    assert (laid_over(cleaned, background)[:8] == 250).all()
    assert np.abs(laid_over(veiled, background).astype(int) - laid_over(person, background)).max() <= 2


def test_straight_and_premultiplied_colours_are_two_forms_of_one_picture():
    """Both ways and back changes no pixel by more than a level; clear pixels are black."""
    person = disc()
    straight = with_straight_alpha(person)
    assert np.abs(premultiplied(straight).astype(int) - person).max() <= 1
    assert (straight[person[..., 3] == 0] == 0).all()
    assert np.abs(straight[person[..., 3] > 200][:, :3].astype(int) - SKIN).max() <= 1


@pytest.mark.parametrize("scale", [1, 2])
def test_the_old_place_leaves_the_edge(scale: int):
    """A white place mixed into the edge makes it too light; afterwards the edge has the person's colour."""
    filmed = disc(old_place=np.array([255, 255, 255], np.uint8))
    filmed = np.repeat(np.repeat(filmed, scale, axis=0), scale, axis=1)
    colours, cleaned = with_straight_alpha(filmed), with_straight_alpha(without_old_place(filmed))
    assert colours[filmed[..., 3] > 50][:, 2].max() > SKIN[2] + 100
    assert cleaned[cleaned[..., 3] > 50][:, 2].max() < SKIN[2] + 20


def test_the_inside_of_the_person_is_kept():
    """Two pixels inside the edge nothing changes, to a level; outside nothing is added."""
    person = disc(old_place=np.array([0, 255, 0], np.uint8))
    cleaned = without_old_place(person)
    inside = cv2.erode((person[..., 3] == 255).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    assert np.abs(cleaned[inside].astype(int) - person[inside]).max() <= 1
    assert not cleaned[..., 3][person[..., 3] < 50].any()
    assert (cleaned[..., :3].max(axis=2) <= cleaned[..., 3]).all()


def test_a_shadow_far_from_the_body_keeps_its_own_colour():
    """Half-transparent black without opaque pixels around it stays black."""
    shadow = np.zeros((SIDE_PX, SIDE_PX, 4), np.uint8)
    shadow[60:80, 20:70, 3] = 120
    cleaned = without_old_place(np.maximum(disc()[:SIDE_PX, :SIDE_PX] // np.uint8(255), shadow))
    assert (cleaned[60:80, 20:70, :3] <= 1).all()
    assert cleaned[70, 40, 3] > 80


def test_a_shadow_beside_the_body_stays_a_shadow():
    """Under the feet a shadow keeps its opacity and stays black, up to a pixel from the person."""
    person = disc()
    shadow = np.zeros_like(person)
    shadow[60:84, 10:86, 3] = 90
    below = 1 - person[..., 3:] / 255
    together = np.rint(person + shadow * below).astype(np.uint8)
    cleaned = without_old_place(together)
    apart = (shadow[..., 3] > 0) & (cv2.dilate(person[..., 3], np.ones((3, 3), np.uint8)) == 0)
    assert apart.sum() > 500
    assert (cleaned[apart] == (0, 0, 0, 90)).all()


def test_only_the_person_is_resized_in_the_whole_frame():
    """Where nothing of the person is drawn the plate keeps every pixel, inside the crop too."""
    plate = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    crop = Crop(40, 20, 200, 200, SIDE_PX, SIDE_PX)
    whole = laid_on_footage(disc(), crop, plate)
    alone = on_footage(disc(), crop, FrameSize(320, 240))
    clear = alone[..., 3] == 0
    assert (whole[clear] == plate[clear]).all()
    assert clear.mean() > 0.5
    assert (alone[119, 139] == (*SKIN, 255)).all()
    np.testing.assert_array_equal(whole, laid_over(alone, plate))


def test_the_crop_may_reach_beyond_the_footage():
    """What lies outside the footage is cut off."""
    plate = of_colour(5, 5, 5, width_px=120, height_px=100)
    crop = Crop(-30, -40, 192, 192, SIDE_PX, SIDE_PX)
    whole = laid_on_footage(disc(), crop, plate)
    assert whole.shape == plate.shape
    assert (whole[55, 65] == SKIN).all()
    assert on_footage(disc(), crop, FrameSize(120, 100))[55, 65, 3] == 255


@pytest.mark.parametrize(("width_px", "height_px"), [(200, 220), (40, 40), (SIDE_PX, SIDE_PX)])
def test_a_resized_person_stays_premultiplied(width_px: int, height_px: int):
    """Larger or smaller, no colour exceeds the opacity, so that no background lights up at the edge."""
    noise = np.random.default_rng(1).integers(0, 256, (SIDE_PX, SIDE_PX, 4), np.uint8)
    noise[..., :3] = np.minimum(noise[..., :3], noise[..., 3:])
    larger = person_resized(noise, width_px, height_px)
    assert larger.shape == (height_px, width_px, 4)
    assert (larger[..., :3] <= larger[..., 3:]).all()


def test_a_change_of_the_picture_changes_the_person_as_far_as_they_show():
    """A face made 40 levels darker darkens the person by 40 where opaque, by less at the edge, and nothing beside."""
    person, before = disc(), of_colour(100, 100, 100)
    after = before.copy()
    after[20:60, 20:60] -= 40
    changed = changed_like(person, before, after)
    difference = person[..., :3].astype(int) - changed[..., :3]
    assert (changed[..., 3] == person[..., 3]).all()
    assert (difference[45, 45] == 40).all()
    assert (difference[:20] == 0).all()
    assert (difference <= np.rint(40 * (person[..., 3:] / 255.0)) + 1).all()
    assert changed_like(person, before, before) is person
    brighter = changed_like(person, before, np.full_like(before, 255))
    assert (brighter[..., :3] <= brighter[..., 3:]).all()


@pytest.mark.parametrize(("rows", "columns"), [(50, 400), (400, 50), (3, 3), (1, 900)])
def test_a_covering_picture_has_no_bars(rows: int, columns: int):
    """Any picture fills the size, with its middle in the middle."""
    picture = np.zeros((rows, columns, 3), np.uint8)
    picture[rows // 3 : rows - rows // 3, columns // 3 : columns - columns // 3] = 250
    covered = covering(picture, 64, 48)
    assert covered.shape == (48, 64, 3)
    assert (covered[24, 32] > 100).all()  # the middle of three pixels is not exactly in the middle


def test_clear_pixels_take_the_colours_of_the_person_nearby():
    """A video codec mixes neighbouring colours: clear pixels at the edge are of the person's colour, not black."""
    straight = with_straight_alpha(disc())
    spread = with_colours_spread(straight)
    near = (straight[..., 3] == 0) & (cv2.dilate(straight[..., 3], np.ones((7, 7), np.uint8)) > 0)
    assert (straight[near][:, :3] == 0).all()
    assert np.abs(spread[near][:, :3].astype(int) - SKIN).max() < 20
    np.testing.assert_array_equal(spread[..., 3], straight[..., 3])
    drawn = straight[..., 3] > 0
    np.testing.assert_array_equal(spread[drawn], straight[drawn])
