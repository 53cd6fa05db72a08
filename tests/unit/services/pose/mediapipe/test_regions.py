"""Regions cut squares out of pictures, and put what is found in them back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion.frame import FrameSize
from services.pose.mediapipe.regions import (
    UPWARDS,
    Region,
    box_about,
    normalized_rad,
    region_about,
    rotation_between,
    squared,
)


def points(*rows: tuple[float, float]) -> np.ndarray:
    """Points as `[N, 2]` float32."""
    return np.array(rows, np.float32)


def test_a_crop_shows_the_region_upright():
    """The pixel that a point of the region covers is at the same fraction of the crop."""
    picture = np.zeros((200, 300, 3), np.uint8)
    region = Region(140, 90, 80, 0.7)
    x, y = region.in_picture(points((0.25, 0.75)))[0].round().astype(int)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    crop = region.crop(picture, 160)
    row, column = np.unravel_index(crop[..., 0].astype(float).argmax(), (160, 160))
    assert abs(column - 40) <= 3
    assert abs(row - 120) <= 3


def test_outside_the_picture_is_its_edge_or_black():
    """A region that reaches over the edge repeats it, or shows black on request."""
    picture = np.full((50, 50, 3), 200, np.uint8)
    region = Region(0, 25, 40, 0)
    assert region.crop(picture, 20).min() == 200
    assert region.crop(picture, 20, zeros_outside=True)[:, 0].max() == 0


def test_a_crop_put_back_lies_where_it_was():
    """A mask found in a crop covers the same place of the picture."""
    region = Region(60, 40, 40, 0.4)
    crop = np.zeros((40, 40), np.float32)
    crop[18:23, 28:33] = 1
    whole = region.uncropped(crop, FrameSize(120, 80))
    y, x = np.argwhere(whole > 0.5).mean(axis=0)
    np.testing.assert_allclose([x, y], region.in_picture(points((30.5 / 40, 20.5 / 40)))[0], atol=1)


@given(st.floats(-20, 20))
def test_a_normalized_angle_is_the_same_angle(angle_rad):
    """The result lies in [-pi, pi) and differs by whole turns."""
    result = normalized_rad(angle_rad)
    assert -math.pi <= result < math.pi
    assert math.cos(result) == pytest.approx(math.cos(angle_rad), abs=1e-9)
    assert math.sin(result) == pytest.approx(math.sin(angle_rad), abs=1e-9)


def test_somebody_upright_is_not_turned():
    """A line straight up needs no rotation; one to the right must be turned by a quarter."""
    start = points((10, 50))[0]
    assert rotation_between(start, points((10, 20))[0], UPWARDS) == pytest.approx(0)
    assert rotation_between(start, points((40, 50))[0], UPWARDS) == pytest.approx(math.pi / 2)


def test_a_region_about_two_points_reaches_the_second():
    """The side is twice their distance, times the scale."""
    region = region_about(points((10, 50))[0], points((10, 20))[0], UPWARDS, scale=1.25)
    assert (region.x_px, region.y_px, region.side_px) == pytest.approx((10, 50, 75))


def test_a_shift_follows_the_regions_own_vertical():
    """A region turned by a quarter that is shifted upwards moves to the right."""
    region = squared(points((0, 0))[0], 10, 20, math.pi / 2, scale=1, shift_y=-0.1)
    assert (region.x_px, region.y_px, region.side_px) == pytest.approx((2, 0, 20))


def test_a_box_is_as_large_as_its_longer_side():
    """The box of the points, made square."""
    region = box_about(points((0, 0), (10, 4)), 0.3, scale=2)
    assert (region.x_px, region.y_px, region.side_px, region.rotation_rad) == pytest.approx((5, 2, 20, 0.3))


def test_points_are_inside_with_their_margin():
    """A point just outside counts as inside a region enlarged by a margin."""
    region = Region(0, 0, 10, 0)
    assert region.holds(points((4.9, 0)), 0)
    assert not region.holds(points((4.9, 0), (0, 5.5)), 0)
    assert region.holds(points((4.9, 0), (0, 5.5)), 0.1)


@pytest.mark.parametrize(
    ("other", "alike"),
    [
        (Region(0, 0, 10, 0), True),
        (Region(1.9, 0, 10, 0), True),
        (Region(2.2, 0, 10, 0), False),
        (Region(0, 0, 16, 0), True),
        (Region(0, 0, 17, 0), False),
        (Region(0, 0, 10, 0.5), True),
        (Region(0, 0, 10, 2 * math.pi + 0.5), True),
        (Region(0, 0, 10, 0.8), False),
    ],
)
def test_regions_are_alike_within_limits(other, alike):
    """Place, size and rotation each have a limit, relative to the other region."""
    assert Region(0, 0, 10, 0).like(other, rotation_rad=0.7, shift=0.2, scale=0.4) is alike
