import numpy as np
import pytest

from training.data.plate import beside_person, fit_plate, grown, near, uncertain

PLACE = np.random.default_rng(0).integers(50, 200, (60, 80, 3), np.uint8)


def frame_with_person(x_px):
    """Returns the place with a white bar at `x_px`, and its mask."""
    picture, mask = PLACE.copy(), np.zeros((60, 80), np.uint8)
    picture[10:50, x_px : x_px + 12] = 255
    mask[10:50, x_px : x_px + 12] = 255
    return picture, mask


def test_plate_keeps_no_ghost():
    """A person who stands in one spot for most of the time is not in the plate."""
    frames = [frame_with_person(x_px) for x_px in (20, 20, 20, 20, 50)]
    plate = fit_plate(*zip(*frames, strict=True))
    np.testing.assert_array_equal(plate.picture, PLACE)
    assert plate.never_seen == 0


def test_places_never_seen_are_filled_in_and_reported():
    """A person who never moves leaves a hole, which is filled from around it and whose size is reported."""
    frames = [frame_with_person(20)] * 3
    plate = fit_plate(*zip(*frames, strict=True))
    assert 40 * 12 / (60 * 80) <= plate.never_seen < 0.2
    hole = plate.picture[10:50, 20:32]
    assert hole.max() <= 210
    np.testing.assert_array_equal(plate.picture[:, 50:], PLACE[:, 50:])


def test_masks_must_match_the_pictures():
    """No pictures, or a different number of masks, is an error."""
    picture, mask = frame_with_person(20)
    for pictures, masks in (([], []), ([picture], [mask, mask])):
        with pytest.raises(ValueError, match="masks"):
            fit_plate(pictures, masks)


def test_props_are_neither_person_nor_place():
    """A ball is found as a prop; the person and camera noise are not."""
    picture, mask = frame_with_person(20)
    noise = np.random.default_rng(1).integers(-8, 9, picture.shape)
    picture = np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)
    assert not beside_person(picture, PLACE, mask).props.any()
    picture[30:38, 60:68] = 255
    found = beside_person(picture, PLACE, mask).props
    assert not beside_person(picture, PLACE, mask).shadows.any()
    assert found[31:37, 61:67].all()
    assert found.sum() < 200


def test_shadows_are_the_place_only_darker():
    """A region with half the light is a shadow; a dark object of another colour is a prop."""
    place = np.full((60, 80, 3), (180, 150, 120), np.uint8)
    picture, mask = place.copy(), np.zeros((60, 80), np.uint8)
    picture[10:20, 10:30] = place[10:20, 10:30] // 2
    picture[40:50, 10:30] = (20, 30, 110)
    found = beside_person(picture, place, mask)
    assert found.shadows[10:20, 10:30].all()
    assert not found.shadows[30:].any()
    assert found.props[40:50, 10:30].all()
    assert not found.props[:30].any()


def test_props_close_to_the_person_reach_up_to_the_mask():
    """The unsearched band close to the person belongs to the prop beside it; the person never does."""
    picture, mask = frame_with_person(20)
    picture[30:38, 32:50] = 255
    unsure = uncertain(beside_person(picture, PLACE, mask).props, mask)
    assert (unsure[32:36, 32:50] == 255).all()
    assert not unsure[mask > 0].any()


def test_near_pixels_are_those_of_a_mask_grown_by_a_disc():
    """Where a pixel lies near is where a disc of that radius grows it, to a pixel at the disc's edge."""
    there = np.random.default_rng(0).random((80, 120)) > 0.999
    for radius_px in (1.0, 6.4, 20.0):
        least, most = (grown(there.astype(np.uint8), radius_px + more) > 0 for more in (-1, 1))
        found = near(there, radius_px)
        assert (found >= least).all()
        assert (found <= most).all()
    assert not near(np.zeros((8, 8), bool), 3.0).any()
