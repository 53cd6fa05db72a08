"""The person's shadow in training."""

from __future__ import annotations

import numpy as np
import pytest

from motion.floor_shadow import draw_shadow
from motion.pose import Pose
from tests.unit.motion.shadowed_footage import TRUE_SHADOW, Filmed, empty_place, filmed, moving_about
from tests.unit.motion.standing_people import standing
from training.data.plate import Plate, fit_plate
from training.data.shadows import covered_with_shadow, plate_without_shadow

PERSON: Pose = standing(128, top_px=30, height_px=200)


@pytest.fixture(scope="module")
def footage() -> Filmed:
    """A person who moves about, with a shadow."""
    return filmed(moving_about(PERSON), TRUE_SHADOW)


@pytest.fixture(scope="module")
def clean(footage: Filmed) -> Plate:
    """Its plate."""
    return plate_without_shadow(*footage)


def test_the_plate_keeps_no_shadow(footage: Filmed, clean: Plate) -> None:
    """Where the shadow falls in most frames, the plate is as bright as the place."""
    pictures, masks, poses = footage
    plain = fit_plate(pictures, masks).picture
    shades = np.mean([draw_shadow(TRUE_SHADOW, *shown) for shown in zip(masks, poses, strict=True)], axis=0)
    often = (shades > 40) & (np.mean(masks, axis=0) < 60)
    darkening = [(empty_place().astype(float) - plate)[often].mean() for plate in (plain, clean.picture)]
    assert darkening[0] > 8
    assert abs(darkening[1]) < 0.4 * darkening[0]


def test_the_place_is_seen_through_the_shadow(footage: Filmed, clean: Plate) -> None:
    """Less of the plate is guessed than if the shadow hid the place."""
    pictures, masks, poses = footage
    areas = [covered_with_shadow(TRUE_SHADOW, *shown)[1] for shown in zip(masks, poses, strict=True)]
    hiding = fit_plate(pictures, [np.maximum(*pair) for pair in zip(masks, areas, strict=True)])
    assert clean.never_seen < 0.7 * hiding.never_seen


def test_without_a_shadow_the_plate_is_the_median() -> None:
    """Footage without a shadow has the plate of the person's masks."""
    pictures, masks, poses = filmed(moving_about(PERSON), None)
    plate = plate_without_shadow(pictures, masks, poses)
    np.testing.assert_array_equal(plate.picture, fit_plate(pictures, masks).picture)


def test_the_shadow_is_covered_beside_the_person(footage: Filmed) -> None:
    """The shadow's opacity is added beside the person, and its area reaches a little farther."""
    _, masks, poses = footage
    covered, area = covered_with_shadow(TRUE_SHADOW, masks[0], poses[0])
    shade = draw_shadow(TRUE_SHADOW, masks[0], poses[0])
    assert (covered[masks[0] == 255] == 255).all()
    assert (covered[masks[0] == 0] == shade[masks[0] == 0]).all()
    assert (area[shade >= 6] == 255).all()
    assert (area > 0).mean() < 5 * (shade >= 6).mean()
