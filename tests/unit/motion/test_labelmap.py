"""The label map scales with the picture, distinguishes left from right, and only changes with its version."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.labelmap import LABEL_MAP_VERSION, draw_label_map
from motion.pose import Pose
from tests.mirrored_pose import BODY_FLIP, flipped

WHITE = 255


def drawn(pose: Pose, factor: float = 1.0) -> Picture:
    """Draw the label map of a pose in 256 x 256 pixels on a canvas `factor` times as large."""
    side_px = round(256 * factor)
    return draw_label_map(pose.transformed(factor, factor), side_px, side_px)


def only(pose: Pose, *joints: int) -> Pose:
    """Return the pose with only these joints seen."""
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    confidence[list(joints)] = 1
    return Pose(pose.joints_px, confidence)


def ink(label_map: Picture) -> NDArray[np.bool_]:
    """Return which pixels were drawn, `[H, W]` bool."""
    return np.asarray((label_map != WHITE).any(axis=2))


def colour_of(label_map: Picture) -> NDArray[np.int64]:
    """Return the most frequent colour of the drawn pixels, `[3]`."""
    colours, counts = np.unique(label_map[ink(label_map)], axis=0, return_counts=True)
    return np.asarray(colours[counts.argmax()], dtype=int)


def test_the_golden_pose_is_drawn_unchanged(standing: Pose, root: Path):
    """Any visible change needs a new version, because networks are trained on these pictures.

    After raising LABEL_MAP_VERSION, run `python tests/golden/draw_standing_label_map.py` to write the new picture.
    """
    path = root / f"tests/golden/standing_label_map_v{LABEL_MAP_VERSION}.png"
    golden = cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]
    difference = np.abs(drawn(standing).astype(int) - golden)
    assert difference.max() <= 8
    assert difference.mean() < 0.01


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_scaling_the_picture_scales_the_map(standing: Pose, factor: float):
    """A map drawn at twice the size and reduced differs by less than 3 levels of 255, on average over drawn pixels.

    At half the usual size the limit is 9 levels, because thin lines cannot get thinner than one drawn pixel.
    """
    side_px = round(256 * factor)
    small, large = drawn(standing, factor), drawn(standing, 2 * factor)
    reduced = np.asarray(cv2.resize(large, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
    difference = np.abs(small.astype(int) - reduced)[ink(small) | ink(reduced)]
    assert difference.mean() < (9 if factor < 1 else 3)
    assert ink(small).mean() == pytest.approx(ink(reduced).mean(), rel=0.06 if factor < 1 else 0.03)


@settings(max_examples=25)
@given(
    missing=hnp.arrays(bool, skeleton.JOINT_COUNT),
    moved_px=st.tuples(st.integers(-60, 60), st.integers(-60, 60)),
    factor=st.floats(1, 2),
)
def test_scaling_scales_any_map(standing: Pose, missing: NDArray[np.bool_], moved_px: tuple[int, int], factor: float):
    """Scaling also holds for any missing joints, and partly outside the picture.

    Drawn pixels may differ by 12 levels of 255 on average, because a few lines alone consist mostly of edges; by 30
    where hardly anything is drawn.
    """
    pose = Pose(
        standing.joints_px + np.array(moved_px, np.float32),
        np.where(missing, 0, standing.confidence).astype(np.float32),
    )
    side_px = round(256 * factor)
    small, large = drawn(pose, side_px / 256), drawn(pose, 2 * side_px / 256)
    reduced = np.asarray(cv2.resize(large, (side_px, side_px), interpolation=cv2.INTER_AREA), np.uint8)
    difference = np.abs(small.astype(int) - reduced)[ink(small) | ink(reduced)]
    assert difference.size == 0 or difference.mean() < (12 if len(difference) > 1000 else 30)


def test_moving_the_pose_moves_the_map(standing: Pose):
    """A pose moved by whole pixels draws the same map, moved."""
    moved = draw_label_map(standing.transformed(1, 1, 1, 2), 256, 256)
    np.testing.assert_array_equal(moved[2:, 1:], drawn(standing)[:-2, :-1])


def test_subpixel_movement_is_visible(standing: Pose):
    """Soft edges make slow movements continuous instead of jumping from pixel to pixel."""
    steps = [draw_label_map(standing.transformed(1, 1, 0.25 * i, 0), 256, 256).astype(int) for i in range(5)]
    changes = [np.abs(after - before).sum() for before, after in pairwise(steps)]
    assert min(changes) > 0
    assert max(changes) < 1.5 * min(changes)


def test_an_empty_pose_is_white():
    """A pose without joints draws a white canvas of the requested size."""
    label_map = draw_label_map(Pose.nothing_seen(), 40, 24)
    assert label_map.shape == (24, 40, 3)
    assert label_map.dtype == np.uint8
    assert (label_map == WHITE).all()


@pytest.mark.parametrize("limb", skeleton.BODY_LIMBS)
def test_every_limb_is_drawn_where_it_is(standing: Pose, limb: tuple[int, int]):
    """Each limb is drawn at its midpoint, and nothing is drawn farther away than its width."""
    label_map = drawn(only(standing, *limb))
    ends_px = standing.joints_px[list(limb)]
    column, row = ends_px.mean(axis=0).astype(int)
    assert ink(label_map)[row, column]
    rows, columns = np.nonzero(ink(label_map))
    assert (columns + 1 >= ends_px[:, 0].min() - 7).all()
    assert (columns <= ends_px[:, 0].max() + 7).all()
    assert (rows + 1 >= ends_px[:, 1].min() - 7).all()
    assert (rows <= ends_px[:, 1].max() + 7).all()


def test_no_two_limbs_look_alike(standing: Pose):
    """Colours of any two limbs differ by at least 20 levels, those of left and right by at least 60."""
    found = {limb: colour_of(drawn(only(standing, *limb), 2)) for limb in skeleton.BODY_LIMBS}
    for one, other in combinations(found, 2):
        assert np.abs(found[one] - found[other]).max() >= 20, (one, other)
    for start, end in skeleton.BODY_LIMBS:
        mirrored = (BODY_FLIP[start], BODY_FLIP[end])
        if mirrored != (start, end):
            assert np.abs(found[start, end] - found[mirrored]).max() >= 60


def test_the_mirrored_pose_is_not_the_mirrored_map(standing: Pose):
    """A mirrored pose has the same lines in other colours, so the network can distinguish left from right."""
    mirrored_pose, mirrored_map = drawn(flipped(standing, 256)), drawn(standing)[:, ::-1]
    assert (ink(mirrored_pose) == ink(mirrored_map)).mean() > 0.998
    both = ink(mirrored_pose) & ink(mirrored_map)
    assert (np.abs(mirrored_pose.astype(int) - mirrored_map).max(axis=2)[both] > 30).mean() > 0.7


@pytest.mark.parametrize("part", [skeleton.FACE, skeleton.LEFT_HAND, skeleton.RIGHT_HAND])
def test_hands_and_face_are_thin_lines_over_the_rest(standing: Pose, part: slice):
    """Hands and face cover most of their points and little else."""
    label_map = drawn(only(standing, *range(part.start, part.stop)))
    points_px = standing.joints_px[part]
    columns, rows = np.floor(points_px).astype(int).T
    assert ink(label_map)[rows, columns].mean() > 0.9
    box_px = np.ptp(points_px, axis=0) + 2
    assert ink(label_map).sum() < 0.75 * box_px.prod()


def test_a_missing_joint_takes_its_lines_with_it(standing: Pose):
    """Without an elbow, upper arm and forearm are not drawn, but shoulder and wrist are still circles."""
    arm = only(standing, skeleton.R_SHOULDER, skeleton.R_WRIST)
    label_map = ink(drawn(arm))
    for joint in (skeleton.R_SHOULDER, skeleton.R_WRIST):
        x, y = standing.joints_px[joint].astype(int)
        assert label_map[y, x]
    x, y = standing.joints_px[skeleton.R_ELBOW].astype(int)
    assert not label_map[y - 8 : y + 8, x - 8 : x + 8].any()


@settings(max_examples=40)
@given(
    missing=hnp.arrays(bool, skeleton.JOINT_COUNT),
    factor=st.sampled_from([0.0, 1e-3, 0.3, 1.0, 40.0, 1e6]),
    shift_px=st.sampled_from([0.0, -300.0, 128.5, 1e5, -1e9]),
)
def test_any_pose_can_be_drawn(standing: Pose, missing: NDArray[np.bool_], factor: float, shift_px: float):
    """Poses with missing, coinciding or distant joints can be drawn; the canvas is white if they are outside."""
    pose = Pose(standing.joints_px, np.where(missing, 0, standing.confidence))
    label_map = draw_label_map(pose.transformed(factor, factor, shift_px, shift_px), 64, 48)
    assert label_map.shape == (48, 64, 3)
    if shift_px in (1e5, -1e9) and factor < 40:
        assert (label_map == WHITE).all()


def test_a_limb_that_leaves_the_canvas_is_drawn_up_to_its_edge(standing: Pose):
    """The visible part matches that of a larger canvas, except for OpenCV's rounding in a few pixels."""
    inside = draw_label_map(standing, 256, 256)
    joints_px = standing.joints_px - np.float32(100)
    cut = draw_label_map(Pose(joints_px, standing.confidence), 256, 256)
    difference = np.abs(cut[:156, :156].astype(int) - inside[100:, 100:])
    assert difference.mean() < 0.02
    assert (difference > 40).sum() == 0


@pytest.mark.parametrize("size", [(0, 10), (10, 0), (-1, 5)])
def test_an_empty_canvas_is_rejected(size: tuple[int, int]):
    """A canvas without pixels raises ValueError."""
    with pytest.raises(ValueError, match="at least 1x1"):
        draw_label_map(Pose.nothing_seen(), *size)
