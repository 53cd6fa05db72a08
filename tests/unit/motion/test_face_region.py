"""The face region follows the face's position and size, and a cut face is pasted back without a seam."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from motion import skeleton
from motion.face_region import FaceRegion, FaceRule, cut_face, face_region, paste_face
from motion.frame import Picture
from motion.pose import Pose

RULE = FaceRule(side_per_face_size=1.8, min_side_px=16)


def without(pose: Pose, joints: list[int] | NDArray[np.bool_] | slice) -> Pose:
    """Return the pose with these joints unseen."""
    confidence = pose.confidence.copy()
    confidence[joints] = 0
    return Pose(pose.joints_px, confidence)


def noise(side_px: int) -> Picture:
    """Return a square picture of random pixels."""
    return np.random.default_rng(1).integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)


def centre(region: FaceRegion) -> tuple[float, float]:
    """Return a region's centre in pixels."""
    return region.x_px + region.side_px / 2, region.y_px + region.side_px / 2


@given(factor=st.floats(0.7, 8))
def test_the_side_follows_the_face_size(standing: Pose, factor: float):
    """The square's side is proportional to the face, and the square is centred on the nose."""
    face_px = standing.joints_px[skeleton.FACE]
    size_px = float(np.ptp(face_px, axis=0).max())
    region = face_region(standing.transformed(factor, factor), RULE, 4096, 4096)
    assert region is not None
    assert region.side_px == pytest.approx(1.8 * size_px * factor, abs=0.51)
    assert centre(region) == pytest.approx((128 * factor, 42 * factor), abs=0.51)


def test_the_side_is_limited(standing: Pose):
    """The side is at least min_side_px and at most the picture's shorter side."""
    region = face_region(standing.transformed(0.1, 0.1), RULE, 64, 64)
    assert region is not None
    assert region.side_px == 16
    region = face_region(standing, FaceRule(50, 16), 300, 256)
    assert region is not None
    assert region.side_px == 256


def test_ears_or_face_points_replace_a_missing_nose(standing: Pose):
    """Without a nose the centre is the ears' midpoint (128, 40); without both it is the middle of the face points."""
    region = face_region(without(standing, [skeleton.NOSE]), RULE, 256, 256)
    assert region is not None
    assert centre(region) == pytest.approx((128, 40), abs=0.51)
    region = face_region(without(standing, [skeleton.NOSE, skeleton.L_EAR]), RULE, 256, 256)
    assert region is not None
    points_px = standing.joints_px[skeleton.FACE]
    assert centre(region) == pytest.approx(tuple((points_px.min(axis=0) + points_px.max(axis=0)) / 2), abs=0.51)


def test_a_pose_without_face_points_has_no_region(standing: Pose):
    """With too few face points, as in a head seen from behind, there is no face region."""
    assert face_region(without(standing, skeleton.FACE), RULE, 256, 256) is None
    assert face_region(without(standing, list(range(25, 76))), RULE, 256, 256) is None
    assert face_region(Pose.nothing_seen(), RULE, 256, 256) is None


def test_a_face_outside_of_the_picture_has_no_region(standing: Pose):
    """A face whose centre is outside the picture has no region."""
    assert face_region(standing.transformed(1, 1, -200, 0), RULE, 256, 256) is None
    assert face_region(standing.transformed(1, 1, 0, 300), RULE, 256, 256) is None


@given(missing=hnp.arrays(bool, skeleton.JOINT_COUNT))
def test_any_subset_of_joints_gives_a_region_or_none(standing: Pose, missing: NDArray[np.bool_]):
    """Whichever joints are missing, the region is None or has a valid side."""
    region = face_region(without(standing, missing), RULE, 256, 256)
    assert region is None or 16 <= region.side_px <= 256


@given(x_px=st.integers(-40, 110), y_px=st.integers(-40, 110), side_px=st.integers(1, 60))
def test_paste_undoes_cut(x_px: int, y_px: int, side_px: int):
    """At equal size, pasting a cut face back restores the picture exactly, even beyond its edge."""
    picture, region = noise(100), FaceRegion(x_px, y_px, side_px)
    face = cut_face(picture, region, side_px)
    assert face.shape == (side_px, side_px, 3)
    np.testing.assert_array_equal(paste_face(picture, face, region), picture)


def test_a_cut_has_the_requested_size_and_repeats_the_edge():
    """The cut is 128 x 128 for any region, and left of the picture it repeats the first column."""
    picture = noise(100)
    assert cut_face(picture, FaceRegion(10, 10, 31), 128).shape == (128, 128, 3)
    face = cut_face(picture, FaceRegion(-5, 0, 20), 20)
    np.testing.assert_array_equal(face[:, :5], np.repeat(picture[:20, :1], 5, axis=1))


def test_a_pasted_face_leaves_no_seam():
    """The centre is the face, the outermost pixels are the picture, and neighbours differ by at most a quarter."""
    picture = np.zeros((100, 100, 3), np.uint8)
    result = paste_face(picture, np.full((128, 128, 3), 255, np.uint8), FaceRegion(20, 30, 48))
    assert (result[54, 44] == 255).all()
    assert not result[30].any()
    assert not result[:30].any()
    assert not picture.any()
    steps = np.abs(np.diff(result[54, :, 0].astype(int)))
    assert steps.max() <= 64


@pytest.mark.parametrize("values", [(0, 16, 128), (float("nan"), 16, 128), (1.8, 0, 128), (1.8, 16, 0)])
def test_invalid_rules_are_rejected(values: tuple[float, int, int]):
    """Sizes that are not positive raise ValueError."""
    with pytest.raises(ValueError, match="must be"):
        FaceRule(*values)
