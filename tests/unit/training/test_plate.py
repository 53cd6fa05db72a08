import numpy as np
import pytest

from training.data.plate import fit_plate, props

PLACE = np.random.default_rng(0).integers(50, 200, (60, 80, 3), np.uint8)


def frame_with_person(x_px):
    """The place with a white bar at `x_px`, and its mask."""
    picture, mask = PLACE.copy(), np.zeros((60, 80), np.uint8)
    picture[10:50, x_px : x_px + 12] = 255
    mask[10:50, x_px : x_px + 12] = 255
    return picture, mask


def test_plate_keeps_no_ghost():
    """Somebody who stands at one spot for most of the time is not in the plate."""
    frames = [frame_with_person(x_px) for x_px in (20, 20, 20, 20, 50)]
    plate = fit_plate(*zip(*frames, strict=True))
    np.testing.assert_array_equal(plate.picture, PLACE)
    assert plate.never_seen == 0


def test_what_is_never_seen_is_painted_in_and_reported():
    """A person who never moves leaves a hole; it is filled from around it, and its size is said."""
    frames = [frame_with_person(20)] * 3
    plate = fit_plate(*zip(*frames, strict=True))
    assert 40 * 12 / (60 * 80) <= plate.never_seen < 0.2
    hole = plate.picture[10:50, 20:32]
    assert hole.max() <= 210
    np.testing.assert_array_equal(plate.picture[:, 50:], PLACE[:, 50:])


def test_masks_must_match_the_pictures():
    """No pictures, or another number of masks, is an error."""
    picture, mask = frame_with_person(20)
    for pictures, masks in (([], []), ([picture], [mask, mask])):
        with pytest.raises(ValueError, match="masks"):
            fit_plate(pictures, masks)


def test_props_are_neither_person_nor_place():
    """A ball is found where it is; the person and the noise of the camera are not."""
    picture, mask = frame_with_person(20)
    noise = np.random.default_rng(1).integers(-8, 9, picture.shape)
    picture = np.clip(picture.astype(int) + noise, 0, 255).astype(np.uint8)
    assert not props(picture, PLACE, mask).any()
    picture[30:38, 60:68] = 255
    found = props(picture, PLACE, mask)
    assert found[31:37, 61:67].all()
    assert found.sum() < 200
