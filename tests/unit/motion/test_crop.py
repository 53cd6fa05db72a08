"""A crop maps poses and pictures between footage and network, and a fitted crop holds every pose."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from motion import skeleton
from motion.crop import Crop, cut_rectangle, fit_crop, overlap, resized, whole_frame_crop
from motion.frame import FrameSize, Picture
from motion.pose import Pose

crops = st.builds(
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
    """Return a picture of random pixels."""
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)


def around(*points_px: tuple[float, float]) -> Pose:
    """Return a pose in which only these points are seen."""
    joints_px, confidence = np.zeros((skeleton.JOINT_COUNT, 2), np.float32), np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[: len(points_px)] = points_px
    confidence[: len(points_px)] = 1
    return Pose(joints_px, confidence)


def test_to_crop_by_hand():
    """A crop of 400 x 200 pixels at (100, 50), drawn at 200 x 100, halves all distances."""
    crop = Crop(100, 50, 400, 200, 200, 100)
    assert crop.to_crop(around((100, 50), (500, 250), (300, 70))).joints_px[:3].tolist() == [
        [0, 0],
        [200, 100],
        [100, 10],
    ]


def test_a_place_shows_where_the_footage_shows_nothing():
    """A crop beyond the footage shows the place there, and the footage elsewhere; one inside is cut as it is."""
    picture, place = noise(40, 40), noise(60, 60, seed=2)
    beyond = Crop(-10, -10, 60, 60, 60, 60)
    cut = beyond.cut_onto(place, picture)
    np.testing.assert_array_equal(cut[10:50, 10:50], picture)
    cut[10:50, 10:50] = place[10:50, 10:50]
    np.testing.assert_array_equal(cut, place)
    inside = Crop(5, 5, 30, 30, 60, 60)
    np.testing.assert_array_equal(inside.cut_onto(place, picture), inside.cut(picture))


def test_cut_and_to_crop_agree():
    """A white square in the footage appears in the cut where `to_crop` maps its centre."""
    picture = np.zeros((200, 300, 3), np.uint8)
    picture[80:120, 140:180] = 255
    crop = Crop(100, 40, 160, 160, 80, 80)
    cut = crop.cut(picture)
    rows, columns = np.nonzero(cut[..., 0] > 127)
    middle_px = crop.to_crop(around((160, 100))).joints_px[0]
    assert [columns.mean() + 0.5, rows.mean() + 0.5] == pytest.approx(middle_px.tolist())


@given(x_px=st.integers(-80, 80), y_px=st.integers(-80, 80), side_px=st.integers(1, 90))
def test_paste_undoes_cut(x_px: int, y_px: int, side_px: int):
    """At equal size, pasting a cut back changes nothing, even if the crop extends or lies outside the picture."""
    picture = noise(48, 64)
    crop = Crop(x_px, y_px, side_px, side_px, side_px, side_px)
    cut = crop.cut(picture)
    assert cut.shape == (side_px, side_px, 3)
    np.testing.assert_array_equal(crop.paste(cut, picture), picture)


def test_paste_replaces_only_the_crop():
    """The result shows the picture inside the crop and the plate outside; the plate itself is not modified."""
    plate = noise(60, 80)
    before = plate.copy()
    result = Crop(10, 20, 30, 30, 15, 15).paste(np.full((15, 15, 3), 7, np.uint8), plate)
    assert (result[20:50, 10:40] == 7).all()
    outside = np.ones((60, 80), bool)
    outside[20:50, 10:40] = False
    np.testing.assert_array_equal(result[outside], plate[outside])
    np.testing.assert_array_equal(plate, before)


def test_cut_repeats_the_edge_outside_the_picture():
    """Columns left of the picture repeat its first column."""
    picture = noise(10, 10)
    cut = Crop(-4, 0, 10, 10, 10, 10).cut(picture)
    np.testing.assert_array_equal(cut[:, :4], np.repeat(picture[:, :1], 4, axis=1))
    np.testing.assert_array_equal(cut[:, 4:], picture[:, :6])


def test_shrinking_averages_areas():
    """A fine chessboard shrinks to grey, not to black or white."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, axis=2)
    cut = Crop(0, 0, 64, 64, 16, 16).cut(board)
    assert cut.min() >= 127
    assert cut.max() <= 128


def test_paste_rejects_a_picture_of_another_size():
    """A picture of the wrong size raises ValueError rather than being stretched silently."""
    with pytest.raises(ValueError, match="16x16"):
        Crop(0, 0, 32, 32, 16, 16).paste(np.zeros((15, 16, 3), np.uint8), np.zeros((40, 40, 3), np.uint8))


def test_contains_looks_at_seen_joints_only():
    """Only seen joints count, so every crop contains an empty pose."""
    crop = Crop(10, 10, 20, 20, 8, 8)
    assert crop.contains(around((10, 10), (30, 30)))
    assert not crop.contains(around((20, 20), (30.5, 20)))
    assert not crop.contains(around((9, 20)))
    assert crop.contains(Pose.nothing_seen())


@given(
    points_px=st.lists(st.tuples(st.floats(0, 640), st.floats(0, 360)), min_size=1, max_size=5),
    out=st.sampled_from([(256, 256), (512, 256), (256, 512), (192, 320)]),
)
def test_fitted_crop_holds_every_joint_tightly(points_px: list[tuple[float, float]], out: tuple[int, int]):
    """The crop holds all joints and the margin in the frame, matches the network's shape, and is not too large."""
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
    assert crop.y_px <= max(low_px[1] - margin_px, 0) + 1e-3
    assert crop.y_px + crop.height_px >= min(high_px[1] + margin_px, 360) - 1e-3


def test_fitted_crop_by_hand():
    """Joints from (100, 100) to (150, 200) are 100 high; with a margin of 6 the crop is 112 x 112, centred in x."""
    crop = fit_crop([around((100, 100)), Pose.nothing_seen(), around((150, 200))], FrameSize(400, 400), 64, 64)
    assert crop == Crop(69, 94, 112, 112, 64, 64)


def test_fitted_crop_leaves_room_for_the_hair(standing: Pose):
    """Joints end at the brows, so the crop adds room for the crown above the nose (y = 42) of a body 173 px tall."""
    crop = fit_crop([standing.transformed(1, 1, 100, 100)], FrameSize(500, 500), 64, 64)
    assert crop.y_px < 142 - 0.15 * 173


@pytest.mark.parametrize(("crown_px", "top_px"), [(0.0, 0), (0.4, 0), (-3.0, 0), (5.0, 5)])
def test_crown_at_the_frame_edge_counts(standing: Pose, monkeypatch: pytest.MonkeyPatch, crown_px: float, top_px: int):
    """A crown at exactly y = 0 is used; it does not count as missing. Above the frame there is nothing to see."""
    monkeypatch.setattr("motion.crop._crown_px", lambda pose, frame_size: crown_px)
    assert fit_crop([standing], FRAME, 256, 256).y_px == top_px


def test_margins_end_at_the_frame_edge():
    """A person who fills the frame gets the whole frame, not a larger crop with invented pixels around it."""
    whole = around((150, 3), (250, 398))
    assert fit_crop([whole], FrameSize(400, 400), 64, 64) == Crop(0, 0, 400, 400, 64, 64)
    wide = around((3, 3), (398, 298))
    assert fit_crop([wide], FrameSize(400, 300), 64, 64) == Crop(0, -50, 400, 400, 64, 64)


def test_joints_outside_the_frame_stay_in_the_crop():
    """Feet below the frame are in the crop, without a margin."""
    crop = fit_crop([around((150, 100), (250, 430))], FrameSize(400, 400), 64, 64)
    assert crop.y_px + crop.height_px == 430


def test_masks_are_empty_outside_the_footage():
    """The network's view of a mask is 0 where the crop reaches beyond the footage; `is_inside` says whether it does."""
    mask = np.full((40, 60), 255, np.uint8)
    crop = Crop(-10, 20, 40, 40, 20, 20)
    assert not crop.is_inside(FrameSize(60, 40))
    cut = crop.cut_mask(mask)
    assert cut[:10, 5:].min() == 255
    assert cut[:, :5].max() == cut[10:].max() == 0
    inside = Crop(10, 0, 40, 40, 20, 20)
    assert inside.is_inside(FrameSize(60, 40))
    assert inside.cut_mask(mask).min() == 255


def test_fitted_crop_prefers_real_pixels():
    """A crop around a person at the frame's edge stays inside the frame rather than centring the person."""
    assert fit_crop([around((20, 100), (40, 300))], FrameSize(400, 400), 64, 64).x_px == 0
    assert fit_crop([around((380, 100), (370, 300))], FrameSize(400, 400), 64, 64).x_px == 400 - 224


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 1024), st.integers(1, 1024))
def test_whole_frame_crop_holds_the_frame(width_px: int, height_px: int, out_width_px: int, out_height_px: int):
    """The crop includes every pixel, has the network's shape, and matches one side of the frame exactly."""
    crop = whole_frame_crop(FrameSize(width_px, height_px), out_width_px, out_height_px)
    assert crop.x_px <= 0
    assert crop.y_px <= 0
    assert crop.x_px + crop.width_px >= width_px
    assert crop.y_px + crop.height_px >= height_px
    assert crop.width_px == width_px or crop.height_px == height_px
    assert abs(crop.width_px * out_height_px - crop.height_px * out_width_px) < max(out_width_px, out_height_px)


def test_fit_crop_rejects_empty_input():
    """`fit_crop` raises ValueError if no joint was seen."""
    with pytest.raises(ValueError, match="at least one joint"):
        fit_crop([], FRAME, 64, 64)
    with pytest.raises(ValueError, match="at least one joint"):
        fit_crop([Pose.nothing_seen()], FRAME, 64, 64)


@given(crops)
def test_crop_survives_json(crop: Crop):
    """`from_dict` restores a crop from the JSON of `to_dict`."""
    assert Crop.from_dict(json.loads(json.dumps(crop.to_dict()))) == crop


@pytest.mark.parametrize("change", [{"width_px": 0}, {"x_px": 1.5}, {"x_px": True}, {"x_px": "1"}, {"depth_px": 3}])
def test_from_dict_rejects_invalid_numbers(change: dict[str, Any]):
    """Sides below one pixel, and fractional or unknown numbers, raise ValueError."""
    with pytest.raises(ValueError, match="crop"):
        Crop.from_dict({**Crop(1, 2, 3, 4, 5, 6).to_dict(), **change})


positions = st.integers(-40, 40)
lengths = st.integers(1, 30)


@given(x_px=positions, y_px=positions, width_px=lengths, height_px=lengths)
def test_cut_rectangle_takes_the_nearest_pixel(x_px: int, y_px: int, width_px: int, height_px: int):
    """Each pixel of a rectangle, wherever it lies, is a copy of the picture's nearest pixel."""
    picture = np.random.default_rng(1).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    rows = np.clip(np.arange(y_px, y_px + height_px), 0, 8)
    columns = np.clip(np.arange(x_px, x_px + width_px), 0, 12)
    cut = cut_rectangle(picture, x_px, y_px, width_px, height_px)
    np.testing.assert_array_equal(cut, picture[rows][:, columns])
    assert not np.shares_memory(cut, picture)


@given(start_px=positions, length_px=lengths, size_px=lengths)
def test_overlap_returns_the_common_positions(start_px: int, length_px: int, size_px: int):
    """Both slices select exactly the positions that axis and span share."""
    of_axis, of_span = overlap(start_px, length_px, size_px)
    axis, span = np.arange(size_px), np.arange(start_px, start_px + length_px)
    assert axis[of_axis].tolist() == span[of_span].tolist() == sorted(set(axis.tolist()) & set(span.tolist()))


def test_same_size_is_not_resampled():
    """A picture that already has the requested size is returned as is."""
    picture = np.random.default_rng(1).integers(0, 256, (9, 13, 3), dtype=np.uint8)
    assert resized(picture, 13, 9) is picture
