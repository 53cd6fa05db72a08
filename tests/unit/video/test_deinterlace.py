"""Interlaced frames are deinterlaced; progressive ones stay as they are and are not delayed."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from av.filter import Graph

from motion.frame import Picture
from tests.unit.video.films import write_film
from video.deinterlace import Deinterlacer
from video.reader import VideoReader


def combs(pixels: Picture) -> float:
    """Measure combing: how much more lines differ from their neighbours than from lines two away, in levels."""
    lines = pixels[..., 1].astype(float)
    return float(np.abs(np.diff(lines, axis=0)).mean() - np.abs(lines[2:] - lines[:-2]).mean())


def block(left_px: float) -> Picture:
    made = np.zeros((48, 96, 3), np.uint8)
    made[:, round(left_px) : round(left_px) + 24] = 255
    return made


def woven(number: int, *, bottom_first: bool) -> Picture:
    """Interleave the lines of two moments, between which the block moves by four pixels."""
    first, second = block(8 * number), block(8 * number + 4)
    made = first.copy()
    made[0 if bottom_first else 1 :: 2] = second[0 if bottom_first else 1 :: 2]
    return made


def flagged(frame: Any, bottom_first: bool) -> Any:
    """Mark the frame as interlaced, with this field order."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25))
    fields = graph.add("setfield", "bff" if bottom_first else "tff")
    graph.link_nodes(source, fields, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx264", "yuv420p"), ("mpeg2video", "yuv420p"), ("prores_ks", "yuv422p10le")]
)
@pytest.mark.parametrize("bottom_first", [False, True])
def test_interlaced_frames_are_deinterlaced(tmp_path, codec, pix_fmt, bottom_first):
    """Each frame shows its first field, whichever that is; no frame or time is lost, and there is one note."""
    pictures = [woven(number, bottom_first=bottom_first) for number in range(8)]
    path = write_film(
        tmp_path / ("a.mov" if codec == "prores_ks" else "a.ts"), pictures, codec=codec, pix_fmt=pix_fmt, rate_hz=25,
        options={"flags": "+ilme+ildct", "b": "5M"}, prepare=lambda frame: flagged(frame, bottom_first),
    )  # fmt: skip
    with VideoReader(str(path)) as reader:
        frames = list(reader.frames())
        assert reader.notes == ("it is interlaced: its frames are deinterlaced",)
    assert [round(frame.seconds * 25, 3) for frame in frames] == list(range(8))
    assert combs(pictures[4]) > 20
    for number in range(1, 7):
        assert combs(frames[number].pixels) < 3
        assert np.abs(frames[number].pixels.astype(float) - block(8 * number)).mean() < 8


def test_progressive_frames_of_an_interlaced_file_stay_sharp(tmp_path):
    """If a camera changes its mode, one-pixel lines of progressive frames are not blurred by deinterlacing."""
    fine = np.zeros((48, 96, 3), np.uint8)
    fine[::2] = 255
    moving = [woven(number, bottom_first=False) for number in range(4)]
    fields = {"flags": "+ilme+ildct"}
    first = write_film(
        tmp_path / "1.ts", moving, options=fields, rate_hz=25, prepare=lambda frame: flagged(frame, False)
    )
    second = write_film(tmp_path / "2.ts", [fine] * 4, options={"crf": "5"}, rate_hz=25)
    whole = tmp_path / "whole.ts"
    whole.write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(str(whole)) as reader:
        frames = list(reader.frames())
    assert len(frames) == 8
    assert [round(frame.seconds * 25, 3) for frame in frames] == list(range(8))
    assert np.abs(frames[6].pixels.astype(int) - fine).mean() < 8


def test_only_interlaced_frames_are_delayed():
    """Progressive frames come at once, so live sources have no delay; interlaced ones wait for the next frame."""
    deinterlacer = Deinterlacer(Fraction(1, 25))
    frames: list[Any] = []
    for number in range(4):
        frame: Any = av.VideoFrame.from_ndarray(block(8 * number), "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = number, Fraction(1, 25)
        frames.append(flagged(frame, False) if number >= 2 else frame)
    ready = [len(list(deinterlacer.frames(frame))) for frame in frames]
    assert ready == [1, 1, 0, 1]
    assert len(list(deinterlacer.rest())) == 1
