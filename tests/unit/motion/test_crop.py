"""The crop: frame to network and back, crops and pastes that agree, and the rectangle that holds every pose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion import skeleton
from motion.crop import Crop, fit_crop, whole_frame_crop
from motion.frame import FrameSize, Picture
from motion.pose import Pose

stages = st.builds(
    Crop,
    st.integers(-500, 2000),
    st.integers(-500, 2000),
    st.integers(1, 2000),
    st.integers(1, 2000),
    st.integers(1, 1024),
    st.integers(1, 1024),
)
FRAME = FrameSize(256, 256)


def noise(height_px: int, width_px: int, seed: int = 1) -> Picture:
    """A picture in which every pixel is different."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def around(*points_px: tuple[float, float]) -> Pose:
    """A pose of which these points only are seen."""
    joints_px, confidence = np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[: len(points_px)] = points_px
    confidence[: len(points_px)] = 1
    return Pose(joints_px, confidence)


@given(stages)
def test_to_stage_and_back_is_the_identity(standing: Pose, crop: Crop):
    """Within a hundredth of a pixel of the footage, for every rectangle and size."""
    back = crop.to_frame(crop.to_crop(standing))
    np.testing.assert_allclose(back.joints_px, standing.joints_px, atol=0.01)
    np.testing.assert_array_equal(back.confidence, standing.confidence)


def test_to_stage_by_hand():
    """x from 100, y from 50, 400 x 200 pixels onto 200 x 100: half the size."""
    crop = Crop(100, 50, 400, 200, 200, 100)
    assert crop.to_crop(around((100, 50), (500, 250), (300, 70))).joints_px[:3].tolist() == [
        [0, 0],
        [200, 100],
        [100, 10],
    ]


def test_a_crop_shows_what_the_pose_says():
    """A white square of the footage is found in the crop where `to_crop` puts its middle."""
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[80:120, 140:180] = 255
    crop = Crop(100, 40, 160, 160, 80, 80)
    cut = crop.cut(picture)
    rows, columns = np.nonzero(cut[..., 0] > 127)
    middle_px = crop.to_crop(around((160, 100))).joints_px[0]
    assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(middle_px.tolist())


@given(x_px=st.integers(-80, 80), y_px=st.integers(-80, 80), side_px=st.integers(1, 90))
def test_what_was_cropped_pastes_back_the_same(x_px: int, y_px: int, side_px: int):
    """Without a change of size, paste after crop changes nothing, also where the crop sticks out or lies outside."""
    picture = noise(48, 64)
    crop = Crop(x_px, y_px, side_px, side_px, side_px, side_px)
    cut = crop.cut(picture)
    assert cut.shape == (side_px, side_px, 3)
    np.testing.assert_array_equal(crop.paste(cut, picture), picture)


def test_a_paste_replaces_the_stage_and_nothing_else():
    """Inside the picture, outside the plate; the plate itself stays as it was."""
    plate = noise(60, 80)
    before = plate.copy()
    result = Crop(10, 20, 30, 30, 15, 15).paste(np.full((15, 15, 3), 7, np.uint8), plate)
    assert (result[20:50, 10:40] == 7).all()
    outside = np.ones((60, 80), bool)
    outside[20:50, 10:40] = False
    np.testing.assert_array_equal(result[outside], plate[outside])
    np.testing.assert_array_equal(plate, before)


def test_a_crop_repeats_the_edge_where_it_sticks_out():
    """Left of the picture there is its first column."""
    picture = noise(10, 10)
    cut = Crop(-4, 0, 10, 10, 10, 10).cut(picture)
    np.testing.assert_array_equal(cut[:, :4], np.repeat(picture[:, :1], 4, axis=1))
    np.testing.assert_array_equal(cut[:, 4:], picture[:, :6])


def test_shrinking_takes_area_means():
    """A fine chessboard becomes grey, not black or white."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    cut = Crop(0, 0, 64, 64, 16, 16).cut(board)
    assert cut.min() >= 127
    assert cut.max() <= 128


def test_a_picture_of_another_size_is_not_pasted():
    """It would be stretched without a word."""
    with pytest.raises(ValueError, match="16x16"):
        Crop(0, 0, 32, 32, 16, 16).paste(np.zeros((15, 16, 3), np.uint8), np.zeros((40, 40, 3), np.uint8))


def test_contains_looks_at_seen_joints_only():
    """A joint outside counts when it was seen; nobody at all is on every crop."""
    crop = Crop(10, 10, 20, 20, 8, 8)
    assert crop.contains(around((10, 10), (30, 30)))
    assert not crop.contains(around((20, 20), (30.5, 20)))
    assert not crop.contains(around((9, 20)))
    assert crop.contains(Pose.nothing_seen())


@given(
    points_px=st.lists(st.tuples(st.floats(0, 640), st.floats(0, 360)), min_size=1, max_size=5),
    out=st.sampled_from([(256, 256), (512, 256), (256, 512), (192, 320)]),
)
def test_a_fitted_stage_holds_every_pose_in_the_network_s_shape(
    points_px: list[tuple[float, float]], out: tuple[int, int]
):
    """All joints and the margin lie on it; its shape is the network's to within a pixel; a side fits tightly."""
    pose = around(*points_px)
    crop = fit_crop([pose], FrameSize(640, 360), *out)
    assert crop.contains(pose)
    assert abs(crop.width_px - crop.height_px * out[0] / out[1]) <= max(1, out[0] / out[1])
    low_px, high_px = np.min(points_px, axis=0), np.max(points_px, axis=0)
    needed_px = high_px - low_px + 0.12 * (high_px[1] - low_px[1])
    tight_px = max(needed_px[0] / out[0], needed_px[1] / out[1]) * np.array(out)
    rounding_px = 3 * max(out[0] / out[1], out[1] / out[0]) + 1
    assert crop.width_px <= tight_px[0] + rounding_px
    assert crop.height_px <= tight_px[1] + rounding_px
    margin_px = 0.06 * (high_px[1] - low_px[1])
    assert crop.y_px <= low_px[1] - margin_px + 1e-3
    assert crop.y_px + crop.height_px >= high_px[1] + margin_px - 1e-3


def test_a_fitted_stage_by_hand():
    """Joints from (100, 100) to (150, 200): 100 high, margin 6, so 112 x 112, centred in x."""
    crop = fit_crop([around((100, 100)), Pose.nothing_seen(), around((150, 200))], FrameSize(400, 400), 64, 64)
    assert crop == Crop(69, 94, 112, 112, 64, 64)


def test_a_fitted_stage_leaves_room_for_the_hair(standing: Pose):
    """Joints end at the brows: above the nose (y = 42) of a body 173 tall there is room for crown and margin."""
    crop = fit_crop([standing.transformed(1, 1, 100, 100)], FrameSize(500, 500), 64, 64)
    assert crop.y_px < 142 - 0.15 * 173


@pytest.mark.parametrize("crown_px", [0.0, 0.4, -3.0])
def test_a_crown_at_the_frame_s_edge_counts(standing: Pose, monkeypatch: pytest.MonkeyPatch, crown_px: float):
    """A head that reaches exactly to y = 0 is one, and no missing crown."""
    monkeypatch.setattr("motion.crop._crown_px", lambda pose, frame_size: crown_px)
    assert fit_crop([standing], FRAME, 256, 256, margin=0.0).y_px <= crown_px


def test_a_fitted_stage_prefers_real_pixels():
    """Somebody at the left edge: the crop begins at the edge, and does not stick out to centre them."""
    assert fit_crop([around((20, 100), (40, 300))], FrameSize(400, 400), 64, 64).x_px == 0
    assert fit_crop([around((380, 100), (370, 300))], FrameSize(400, 400), 64, 64).x_px == 400 - 224


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 1024), st.integers(1, 1024))
def test_a_whole_frame_s_stage_holds_the_frame_in_the_network_s_shape(
    width_px: int, height_px: int, out_width_px: int, out_height_px: int
):
    """No pixel is left out, and one side fits to the pixel."""
    crop = whole_frame_crop(FrameSize(width_px, height_px), out_width_px, out_height_px)
    assert crop.x_px <= 0
    assert crop.y_px <= 0
    assert crop.x_px + crop.width_px >= width_px
    assert crop.y_px + crop.height_px >= height_px
    assert crop.width_px == width_px or crop.height_px == height_px
    assert abs(crop.width_px * out_height_px - crop.height_px * out_width_px) < max(out_width_px, out_height_px)


def test_no_joint_no_stage(standing: Pose):
    """Without poses, or with empty ones only, there is nothing to fit; a negative margin cuts joints off."""
    with pytest.raises(ValueError, match="at least one joint"):
        fit_crop([], FRAME, 64, 64)
    with pytest.raises(ValueError, match="at least one joint"):
        fit_crop([Pose.nothing_seen()], FRAME, 64, 64)
    with pytest.raises(ValueError, match="negative"):
        fit_crop([standing], FRAME, 64, 64, margin=-0.1)


@given(stages)
def test_a_stage_comes_back_from_its_dict(crop: Crop):
    """Through JSON and back."""
    assert Crop.from_dict(json.loads(json.dumps(crop.to_dict()))) == crop


@pytest.mark.parametrize("change", [{"width_px": 0}, {"x_px": 1.5}, {"x_px": True}, {"x_px": "1"}, {"depth_px": 3}])
def test_a_nonsensical_stage_is_refused(change: dict[str, Any]):
    """Empty, fractional or unknown numbers are named."""
    with pytest.raises(ValueError, match="crop"):
        Crop.from_dict({**Crop(1, 2, 3, 4, 5, 6).to_dict(), **change})
