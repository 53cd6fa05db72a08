"""Holes are filled with patches of the rest of the picture, so textures and edges go on in them."""

import cv2
import numpy as np
import pytest

from training.place.patch_filling import fill_holes


def stripes():
    """Returns vertical stripes eight pixels wide, in two colours, 96x96."""
    light = (np.arange(96) // 8 % 2 > 0)[None, :, None]
    return np.where(light, (220, 180, 60), (40, 60, 120)).astype(np.uint8).repeat(96, axis=0)


def hole_at(rows, columns):
    hole = np.zeros((96, 96), bool)
    hole[rows, columns] = True
    return hole


def test_a_pattern_goes_on_through_the_hole():
    """Stripes continue through a hole where a smooth filling shows grey; the rest is unchanged to the last bit."""
    place, hole = stripes(), hole_at(slice(36, 60), slice(40, 56))
    damaged = place.copy()
    damaged[hole] = 0
    filled = fill_holes(damaged, hole)
    smooth = cv2.inpaint(damaged, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
    wrong, smooth_wrong = (np.abs(x[hole].astype(int) - place[hole]).mean() for x in (filled, smooth))
    assert wrong < 8 < smooth_wrong
    np.testing.assert_array_equal(filled[~hole], damaged[~hole])


def test_the_filling_is_as_grainy_as_the_place():
    """Noise is filled with noise, which a smooth filling is not."""
    place = np.random.default_rng(4).integers(60, 200, (96, 96, 3), np.uint8)
    hole = hole_at(slice(30, 60), slice(30, 60))
    assert fill_holes(place, hole)[hole].std() > 0.7 * place.std()


def test_what_is_in_the_hole_does_not_matter():
    """The filling depends on the picture around the hole only, and is the same every time."""
    place, hole = stripes(), hole_at(slice(36, 60), slice(40, 56))
    one, other = place.copy(), place.copy()
    one[hole], other[hole] = 255, (90, 0, 0)
    np.testing.assert_array_equal(fill_holes(one, hole), fill_holes(other, hole))


@pytest.mark.parametrize(
    "hole",
    [
        hole_at(slice(0, 30), slice(0, 96)),
        hole_at(slice(80, 96), slice(70, 96)),
        hole_at(slice(0, 96), slice(40, 50)),
        hole_at(slice(3, 93), slice(3, 93)),
        hole_at(slice(10, 11), slice(10, 11)),
        np.ones((96, 96), bool),
        np.zeros((96, 96), bool),
    ],
)
def test_any_hole_is_filled(hole):
    """Holes at the edge, across the picture, of one pixel and almost everywhere are filled without an error."""
    place = stripes()
    filled = fill_holes(place, hole)
    assert filled.shape == place.shape
    assert filled.dtype == np.uint8
    np.testing.assert_array_equal(filled[~hole], place[~hole])
