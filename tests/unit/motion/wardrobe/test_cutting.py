"""Cutting the limbs of a frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.colours import costs_of
from motion.wardrobe.cutting import Cut, cut_limbs, find_regions
from motion.wardrobe.limbs import LIMB_COUNT, UNDER_LAYERS, Limb
from motion.wardrobe.placing import PlacedBody, measure_limbs, place
from tests.unit.motion.wardrobe.puppets import SIZE_PX, dancing, moved, puppet


@pytest.fixture
def body(standing: Pose) -> PlacedBody:
    """The body of the standing person."""
    return place(standing, measure_limbs([standing]))


def cuts_of(body: PlacedBody) -> dict[Limb, Cut]:
    regions = find_regions(body, puppet(body.pose)[1])
    assert regions is not None
    return cut_limbs(regions)


def test_every_pixel_of_the_person_is_in_some_piece(body: PlacedBody) -> None:
    """The pieces together cover the person, and nothing else."""
    _, mask = puppet(body.pose)
    together = np.zeros((SIZE_PX, SIZE_PX), np.float32)
    for cut in cuts_of(body).values():
        window = together[cut.box.slices]
        np.maximum(window, cut.weights, out=window)
    assert (together[mask > 127] > 0.5).mean() > 0.95
    assert not together[mask == 0].any()


def test_a_whole_body_has_all_limbs(body: PlacedBody) -> None:
    """Every limb of a person seen in full is cut, and those below others have a middle for the layer under them."""
    cuts = cuts_of(body)
    assert sorted(cuts) == list(Limb)
    for limb, cut in cuts.items():
        assert cut.weights.max() > 0.9
        assert (cut.inner is not None) == (limb in UNDER_LAYERS)
        assert 0 <= cut.hidden <= 1


def test_an_arm_before_the_torso_is_marked_as_hidden(standing: Pose) -> None:
    """Where an arm lies before the shirt, its outline is uncertain; other key frames are preferred."""
    lengths_px = measure_limbs([standing])
    across = cuts_of(place(dancing(standing, (-0.9, 0)), lengths_px))[Limb.RIGHT_FOREARM].hidden
    beside = cuts_of(place(dancing(standing, (0.6, 0)), lengths_px))[Limb.RIGHT_FOREARM].hidden
    assert across > beside + 0.2


def test_a_wrong_colour_costs_a_limb_its_pixel(body: PlacedBody) -> None:
    """Pixels near the border of two limbs go to the one that they suit."""
    regions = find_regions(body, puppet(body.pose)[1])
    assert regions is not None
    costs = np.zeros(regions.distances.shape, np.float32)
    costs[[Limb.RIGHT_THIGH, Limb.LEFT_THIGH]] = 1
    pushed, plain = cut_limbs(regions, costs), cut_limbs(regions)
    assert pushed[Limb.TORSO].weights.sum() > plain[Limb.TORSO].weights.sum()
    assert pushed[Limb.RIGHT_THIGH].weights.sum() < plain[Limb.RIGHT_THIGH].weights.sum()


def test_thin_strips_are_left_out(body: PlacedBody) -> None:
    """The rest of a sleeve along an arm would stick out of the moved limb."""
    _, mask = puppet(body.pose)
    hips_x, hips_y = np.rint(body.ends_px[Limb.TORSO, 1]).astype(int).tolist()
    left, top = hips_x - 2, hips_y + 2
    mask[top : top + 9] = 0
    mask[top : top + 9, left : left + 2] = 255
    regions = find_regions(body, mask)
    assert regions is not None
    cut = cut_limbs(regions)[Limb.TORSO]
    whole = np.zeros(mask.shape, np.float32)
    whole[cut.box.slices] = cut.weights
    assert whole[top - 8 : top - 4, left].min() > 0.9
    assert whole[top + 5 : top + 9, left].max() < 0.1


def test_a_sleeve_of_the_shirts_colour_stays_with_the_arm(standing: Pose) -> None:
    """Below the shoulder the torso's piece ends where the arm begins, even if colours do not separate them."""
    body = place(dancing(standing, (0.35, 0)), measure_limbs([standing]))
    regions = find_regions(body, np.full((SIZE_PX, SIZE_PX), 255, np.uint8))
    assert regions is not None
    cut = cut_limbs(regions)[Limb.TORSO]
    to_torso, to_arm = regions.distances[[Limb.TORSO, Limb.RIGHT_UPPER_ARM]]
    arm = np.zeros((SIZE_PX, SIZE_PX), np.bool_)
    arm[regions.person.slices] = (to_arm < np.maximum(to_torso, 0.62)) & (to_torso > 0)
    arm[: round(body.ends_px[Limb.RIGHT_UPPER_ARM, 0, 1] + 0.3 * body.scale_px)] = False
    assert np.count_nonzero(arm) > 100
    assert cut.weights[arm[cut.box.slices]].max() < 0.3


def test_neighbouring_pieces_leave_no_seam(body: PlacedBody) -> None:
    """Laid over each other in their own pose, the pieces cover every pixel well inside the person."""
    _, mask = puppet(body.pose)
    uncovered = np.ones(mask.shape, np.float32)
    for cut in cuts_of(body).values():
        uncovered[cut.box.slices] *= 1 - cut.weights
    inside = cv2.erode(mask, np.ones((7, 7), np.uint8)) > 0
    assert (uncovered[inside] < 0.15).mean() > 0.97


def test_a_person_outside_the_picture_has_no_regions(standing: Pose) -> None:
    """A body that the picture does not show, or without limbs, has nothing to cut."""
    mask = puppet(standing)[1]
    lengths_px = measure_limbs([standing])
    assert find_regions(place(moved(standing, shift=(5000, 0)), lengths_px), mask) is None
    assert find_regions(place(Pose.nothing_seen(), lengths_px), mask) is None


def test_a_body_without_hips_or_head_is_cut(standing: Pose) -> None:
    """Missing joints leave out their limbs; the others are cut as usual."""
    confidence = standing.confidence.copy()
    confidence[[skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR, skeleton.R_HIP]] = 0
    cuts = cuts_of(place(Pose(standing.joints_px, confidence), measure_limbs([standing])))
    assert Limb.HEAD not in cuts
    assert Limb.RIGHT_THIGH not in cuts
    assert Limb.LEFT_THIGH in cuts


def test_costs_have_a_value_for_every_limb_and_pixel() -> None:
    """The colours' costs fit the regions that they are added to."""
    picture = np.zeros((5, 7, 3), np.uint8)
    assert costs_of(picture, np.zeros((16, 16, 16, LIMB_COUNT), np.float32)).shape == (LIMB_COUNT, 5, 7)
