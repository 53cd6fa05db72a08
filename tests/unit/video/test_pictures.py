"""Colours, transparency and rotation are converted to correct pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from motion.frame import Picture
from tests.unit.video.films import write_film
from video.pictures import PictureMaker, turned
from video.reader import VideoReader

# RGB, all within the gamut of BT.709.
COLOURS = [(0, 0, 0), (40, 40, 40), (128, 128, 128), (200, 200, 200), (250, 250, 250), (200, 60, 30), (30, 150, 60),
           (40, 60, 200), (230, 180, 150), (90, 60, 50)]  # fmt: skip
TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""ITU-R BT.2087."""
LUMA_BT2020 = np.array([0.2627, 0.6780, 0.0593])
WHITE_CD_M2 = 203.0
"""ITU-R BT.2408: reference white of standard video."""


def pq(light_cd_m2: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, table 4."""
    y = np.clip(light_cd_m2 / 10_000, 0, 1) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(light_cd_m2: np.ndarray) -> np.ndarray:
    """ITU-R BT.2100, table 5, for a display of 1000 cd/m2, whose system gamma is 1.2."""
    shown = light_cd_m2 / 1000
    luma = (shown @ LUMA_BT2020)[..., None]
    scene = shown * np.where(luma > 0, luma, 1) ** (1 / 1.2 - 1)
    a = 0.17883277
    bright = a * np.log(np.maximum(12 * scene - (1 - 4 * a), 1e-9)) + 0.5 - a * np.log(4 * a)
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def plain(light_cd_m2: np.ndarray) -> np.ndarray:
    """BT.1886, the transfer function of standard video."""
    return (light_cd_m2 / WHITE_CD_M2) ** (1 / 2.4)


def bt2020_frame(transfer: Callable[[np.ndarray], np.ndarray], code: int) -> Any:
    """Return COLOURS, each 16 pixels wide, as ten-bit BT.2020 with this transfer function."""
    light = (np.array(COLOURS) / 255) ** 2.4 @ TO_BT2020.T * WHITE_CD_M2
    rgb = transfer(light)
    luma = rgb @ LUMA_BT2020
    planes = (64 + 876 * luma, 512 + 896 * (rgb[:, 2] - luma) / 1.8814, 512 + 896 * (rgb[:, 0] - luma) / 1.4746)
    frame: Any = av.VideoFrame(16 * len(COLOURS), 16, "yuv444p10le")
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.frombuffer(plane, np.uint16).reshape(16, -1)
        rows.flags.writeable or pytest.fail("planes of a new frame can be written")
        rows[:, : 16 * len(COLOURS)] = np.repeat(values.round().astype(np.uint16), 16)
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = code, 9, 9, 1
    return frame


@pytest.mark.parametrize(
    ("transfer", "code", "note"), [(hlg, 18, "HDR (HLG)"), (pq, 16, "HDR (PQ)"), (plain, 14, "colours are BT.2020")]
)
def test_hdr_and_wide_gamuts_become_standard_video(transfer, code, note):
    """Standard video converted to HDR is restored: greys within 3 levels, colours within 20."""
    maker = PictureMaker("film", None)
    picture = maker.picture(bt2020_frame(transfer, code))
    seen = picture[8, 8::16].astype(int)
    assert np.abs(seen - COLOURS).max() <= 20
    assert np.abs(seen[:5] - COLOURS[:5]).max() <= 3
    assert len(maker.notes) == 1
    assert note in maker.notes[0]


@pytest.mark.parametrize(
    ("kind", "transfer", "primaries", "taken", "name"),
    [
        (14, 16, 9, 9, "BT.2020"),
        (14, 18, 2, 9, "BT.2020"),
        (10, 1, 9, 9, "BT.2020"),
        (8, 1, 1, 5, "BT.601"),
        (2, 16, 9, 9, None),
    ],
)
def test_the_note_names_the_assumed_matrix(kind, transfer, primaries, taken, name):
    """ICtCp and constant-luminance BT.2020 are read as plain BT.2020, with a note; unspecified matrices get no note."""
    frame: Any = av.VideoFrame(64, 48, "yuv420p")
    frame.colorspace, frame.color_trc, frame.color_primaries = kind, transfer, primaries
    maker = PictureMaker("film", None)
    maker.picture(frame)
    matrix_notes = [note for note in maker.notes if "ITU-T H.273" in note]
    assert matrix_notes == (
        [] if name is None else [f"its colour matrix is number {kind} of ITU-T H.273: it is read as {name}"]
    )
    assert int(frame.colorspace) == taken


@pytest.mark.real_clips
def test_phone_hdr_is_close_to_its_sdr():
    """A clip as HLG matches the same clip as SDR at 36 dB; it would be 19 dB if HLG were read as SDR."""
    folder = Path(os.environ.get("DANCE_TEST_DATA", Path(__file__).resolve().parents[4] / "shared")) / "cases"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist (set DANCE_TEST_DATA to its parent folder)")
    pictures = []
    for name in ("hdr_hlg.mov", "hdr_as_sdr.mp4"):
        with VideoReader(str(folder / name)) as reader:
            pictures.append(next(reader.frames()).pixels.astype(float))
    assert 10 * np.log10(255**2 / np.mean((pictures[0] - pictures[1]) ** 2)) > 34


def stripes(width_px: int = 160, height_px: int = 96) -> Picture:
    return np.repeat(np.repeat(np.array([COLOURS], np.uint8), height_px, 0), width_px // len(COLOURS), 1)


@pytest.mark.parametrize(
    ("matrix", "tag", "full", "size"),
    [
        (Colorspace.ITU601, 6, False, (160, 96)),
        (Colorspace.ITU601, 6, True, (160, 96)),
        (Colorspace.ITU709, 1, False, (160, 96)),
        (Colorspace.ITU709, 1, True, (160, 96)),
        (Colorspace.ITU601, 2, False, (160, 96)),
        (Colorspace.ITU709, 2, False, (1280, 720)),
    ],
)
def test_matrix_and_range_are_respected(tmp_path, matrix, tag, full, size):
    """BT.601, BT.709, limited and full range are respected; unspecified pictures are BT.709 if large, else BT.601."""

    def setup(stream):
        stream.codec_context.colorspace, stream.codec_context.color_range = tag, 2 if full else 1

    def prepare(frame):
        rgb = av.VideoFrame.from_ndarray(stripes(*size), "rgb24")
        made = rgb.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range="JPEG" if full else "MPEG")
        made.colorspace, made.color_range = tag, 2 if full else 1
        return made

    path = write_film(
        tmp_path / "a.mkv", [stripes(*size)], pix_fmt="yuv444p", options={"crf": "1", "preset": "ultrafast"},
        setup=setup, prepare=prepare,
    )  # fmt: skip
    with VideoReader(str(path)) as reader:
        pixels = next(reader.frames()).pixels
    width_px = size[0] // len(COLOURS)
    assert np.abs(pixels[8, width_px // 2 :: width_px].astype(int) - COLOURS).max() <= 4


def half_transparent() -> Picture:
    made = np.full((48, 64, 4), 200, np.uint8)
    made[..., 3] = 255
    made[:, 32:, 3] = 0
    made[:, 16:32, 3] = 128
    return made


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.mov", "prores_ks", "yuva444p10le"), ("a.mov", "qtrle", "argb"), ("a.mkv", "ffv1", "yuva420p"),
     ("a.apng", "apng", "rgba")],
)  # fmt: skip
def test_transparent_pixels_become_black(tmp_path, name, codec, pix_fmt):
    """Transparent pixels become black and half-transparent ones half as bright, with a note."""
    path = write_film(tmp_path / name, [half_transparent()] * 2, codec=codec, pix_fmt=pix_fmt)
    with VideoReader(str(path)) as reader:
        pixels = next(reader.frames()).pixels
        assert reader.notes == ("it is partly transparent: transparent pixels become black",)
    assert np.abs(pixels[24, [8, 24, 56], 1].astype(int) - [200, 100, 0]).max() <= 6


def test_unreadable_transparency_is_noted(tmp_path):
    """WebM stores alpha separately, which is not read; there is a note about it."""
    path = write_film(tmp_path / "a.webm", [half_transparent()] * 2, codec="libvpx-vp9", pix_fmt="yuva420p")
    with VideoReader(str(path)) as reader:
        next(reader.frames())
        assert ["alpha channel cannot be read" in note for note in reader.notes] == [True]


def test_opaque_frames_have_no_note(tmp_path):
    """An alpha channel that is opaque everywhere is not mentioned."""
    opaque = np.full((48, 64, 4), 255, np.uint8)
    path = write_film(tmp_path / "a.mov", [opaque] * 2, codec="qtrle", pix_fmt="argb")
    with VideoReader(str(path)) as reader:
        assert next(reader.frames()).pixels.min() == 255
        assert reader.notes == ()


@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
@pytest.mark.parametrize("mirrored", [False, True])
def test_display_matrices_rotate_and_mirror(degrees, mirrored):
    """The matrix moves the pixel at (x, y) to (a x + c y, b x + d y)."""
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    cos, sin = round(np.cos(np.radians(degrees))), round(np.sin(np.radians(degrees)))
    flip = -1 if mirrored else 1
    a, b, c, d = cos * flip, sin * flip, -sin, cos
    places = {(a * x + c * y, b * x + d * y): pixels[y, x] for y in range(2) for x in range(3)}
    left, top = min(x for x, _ in places), min(y for _, y in places)
    shown = turned(pixels, np.array([a, b, 0, c, d, 0, 0, 0, 1], np.int32) * 65536)
    for (x, y), pixel in places.items():
        assert np.array_equal(shown[y - top, x - left], pixel)
