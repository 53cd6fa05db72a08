"""Placing the limbs of a body."""

from __future__ import annotations

import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe.limbs import Limb
from motion.wardrobe.placing import FEATURE_COUNT, MEASURED_LIMBS, measure_limbs, place, scale_of
from tests.unit.motion.wardrobe.puppets import SIZE_PX, dancing, moved


def test_the_scale_is_the_length_of_the_torso_as_if_seen_in_full(standing: Pose) -> None:
    """A body twice as large has twice the scale; a foreshortened torso alone does not change it."""
    lengths_px = measure_limbs([standing])
    assert scale_of(standing, lengths_px) == pytest.approx(lengths_px[0], rel=0.01)
    assert scale_of(moved(standing, scale=2), lengths_px) == pytest.approx(2 * lengths_px[0], rel=0.01)
    bent = standing.joints_px.copy()
    bent[skeleton.NECK] = (bent[skeleton.NECK] + bent[skeleton.MID_HIP]) / 2
    assert scale_of(Pose(bent, standing.confidence), lengths_px) == pytest.approx(lengths_px[0], rel=0.01)


def test_limbs_that_were_never_seen_have_usual_lengths(standing: Pose) -> None:
    """Footage without legs still measures a whole body."""
    confidence = standing.confidence.copy()
    confidence[[skeleton.R_KNEE, skeleton.L_KNEE, skeleton.R_ANKLE, skeleton.L_ANKLE]] = 0
    lengths_px = measure_limbs([Pose(standing.joints_px, confidence)])
    assert lengths_px.shape == (len(MEASURED_LIMBS),)
    assert (lengths_px > 1).all()


def test_footage_without_a_limb_is_refused() -> None:
    """Without a single limb there is nothing to measure, and the error says what is expected."""
    with pytest.raises(ValueError, match="no frame shows a whole limb"):
        measure_limbs([Pose.nothing_seen()])
    with pytest.raises(ValueError, match="no frame shows a whole limb"):
        measure_limbs([])


def test_features_do_not_depend_on_place_and_size(standing: Pose) -> None:
    """A shifted and smaller person looks the same to the choice."""
    lengths_px = measure_limbs([standing])
    one = place(standing, lengths_px).features
    two = place(moved(standing, shift=(30, 12), scale=0.6), lengths_px).features
    assert one.shape == (FEATURE_COUNT,)
    assert np.allclose(one, two, atol=0.02, equal_nan=True)


def test_features_depend_on_the_limbs_pose(standing: Pose) -> None:
    """A turned arm has other features; the limbs that did not move have the same."""
    lengths_px = measure_limbs([standing])
    one, two = place(standing, lengths_px), place(dancing(standing, (1.2, 0)), lengths_px)
    assert not np.allclose(one.feature(Limb.RIGHT_FOREARM), two.feature(Limb.RIGHT_FOREARM), atol=0.05)
    assert np.allclose(one.feature(Limb.LEFT_SHIN), two.feature(Limb.LEFT_SHIN))


def test_an_unseen_hand_goes_on_from_its_forearm(standing: Pose) -> None:
    """A hand without points is placed beyond the wrist, without features."""
    confidence = standing.confidence.copy()
    confidence[skeleton.LEFT_HAND] = 0
    body = place(Pose(standing.joints_px, confidence), measure_limbs([standing]))
    assert body.placed[Limb.LEFT_HAND]
    assert np.isnan(body.feature(Limb.LEFT_HAND)).all()
    large = standing.joints_px.copy()
    large[skeleton.RIGHT_HAND] = large[skeleton.R_WRIST] + 3 * (large[skeleton.RIGHT_HAND] - large[skeleton.R_WRIST])
    body = place(Pose(large, confidence), measure_limbs([standing]))
    assert not np.isnan(body.feature(Limb.RIGHT_HAND)).any()


def test_a_mirrored_body_is_placed_as_the_mirror_image(standing: Pose) -> None:
    """Right and left are treated alike."""
    lengths_px = measure_limbs([standing, standing.mirrored(SIZE_PX / 2)])
    one, two = place(standing, lengths_px), place(standing.mirrored(SIZE_PX / 2), lengths_px)
    assert one.scale_px == pytest.approx(two.scale_px)
    assert np.allclose(one.ends_px[Limb.RIGHT_SHIN] * (-1, 1) + (256, 0), two.ends_px[Limb.LEFT_SHIN], atol=1e-3)
