"""Landmarks are refined by their heat maps."""

from __future__ import annotations

import numpy as np
import pytest

from services.pose.mediapipe.body import followed, refined
from services.pose.mediapipe.regions import Region


def maps(side: int = 64, count: int = 2) -> np.ndarray:
    """Heat maps, `[side, side, count]` float32 logits, that are sure of nothing."""
    return np.full((side, side, count), -20, np.float32)


def test_a_landmark_moves_to_the_peak_near_it():
    """The centre of mass of a single sure place is that place."""
    heat_maps = maps()
    heat_maps[33, 31, 0] = 8
    found = refined(np.array([[0.5, 0.5]], np.float32), heat_maps)
    np.testing.assert_allclose(found, [[31 / 64, 33 / 64]], atol=1e-4)


def test_a_landmark_without_a_peak_stays():
    """Neither a weak peak nor one too far away moves a landmark, and other maps do not count."""
    heat_maps = maps()
    heat_maps[33, 31, 0] = -0.1
    heat_maps[32, 40, 0] = 8
    heat_maps[32, 32, 1] = 8
    inside = np.array([[0.5, 0.5]], np.float32)
    np.testing.assert_array_equal(refined(inside, heat_maps), inside)


def test_landmarks_outside_their_region_stay_and_the_edge_is_no_trouble():
    """A landmark beyond the maps keeps its place; one at their edge is refined by what there is."""
    heat_maps = maps()
    heat_maps[0, 1, 1] = 8
    inside = np.array([[1.2, -0.1], [0.0, 0.0]], np.float32)
    found = refined(inside, heat_maps)
    np.testing.assert_array_equal(found[0], inside[0])
    np.testing.assert_allclose(found[1], [1 / 64, 0], atol=1e-4)


@pytest.mark.parametrize(("x", "is_there"), [(128.0, True), (np.nan, False), (1e6, False)])
def test_a_body_that_is_nowhere_near_is_lost(x, is_there):
    """Its state could not be read again, and its next region would be of no use."""
    values = np.full((39, 5), 128, np.float32)
    values[3, 0] = x
    outputs = {"Identity": values[None], "Identity_1": np.ones((1, 1), np.float32), "Identity_3": maps(count=39)[None]}
    region = Region(1000.0, 1000.0, 2000.0, 0.0)
    with np.errstate(invalid="ignore"):
        assert (followed(outputs, region, None, 0.04, 0.5) is not None) == is_there
