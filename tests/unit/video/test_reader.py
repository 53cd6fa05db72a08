"""Unusual files are read with the right frames, times and notes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import av
import pytest

from serving.errors import UnreadableVideo
from tests.unit.video.films import RATE_HZ, joined, numbers, picture, size_changing, write_film
from video import counting
from video.opening import opened
from video.reader import VideoReader

SIX = [picture(number) for number in range(6)]
EVEN = tuple(number / RATE_HZ for number in range(6))


def two_recordings(folder: Path, **options: Any) -> Path:
    first, second = (SIX[:3], SIX[3:])
    return joined(write_film(folder / "1.ts", first, **options), write_film(folder / "2.ts", second, **options))


def three_recordings(folder: Path) -> Path:
    parts = [(f"{n}.ts", SIX[2 * n : 2 * n + 2]) for n in range(3)]
    return joined(*(write_film(folder / name, part, options={"bf": "0"}) for name, part in parts))


def far_second_recording(folder: Path) -> Path:
    """Write a file whose clock falls by more than a minute, which FFmpeg reads as an overflow, 26 hours ahead."""
    first = write_film(folder / "1.ts", SIX[:3], muxer={"output_ts_offset": "100"})
    return joined(first, write_film(folder / "2.ts", SIX[3:]))


def much_later_second_recording(folder: Path, **options: Any) -> Path:
    first = write_film(folder / "1.ts", SIX[:3], **options)
    return joined(first, write_film(folder / "2.ts", SIX[3:], muxer={"output_ts_offset": "1000"}, **options))


def made_large(path: Path) -> Path:
    """Add a megabyte of null packets to a transport stream, so that the duration seems plausible for its size."""
    path.write_bytes(path.read_bytes() + (b"\x47\x1f\xff\x10" + bytes(184)) * 6000)
    return path


def joined_programs(folder: Path) -> Path:
    options: dict[str, Any] = {"codec": "mpeg1video", "rate_hz": 25}
    ten = [picture(number) for number in range(10)]
    return joined(*(write_film(folder / f"{n}.mpg", ten[5 * n : 5 * n + 5], **options) for n in range(2)))


def long_gap(folder: Path, sound: bool) -> Path:
    options: dict[str, Any] = {"sound": "mp2", "sound_seconds": (0.0, 20.6)} if sound else {}
    return write_film(folder / "gap.ts", SIX, pts=[0, 1, 2, 203, 204, 205], options={"bf": "0"}, **options)


def several_videos(folder: Path, name: str, chosen: int | None) -> Path:
    """Write two video tracks: the first repeats frame 0, the second has six frames; `chosen` is the default."""
    path = folder / name
    with av.open(str(path), "w") as container:
        streams = []
        for number in range(2):
            stream = container.add_stream("libx264", rate=RATE_HZ)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.disposition = av.stream.Disposition.default if number == chosen else av.stream.Disposition(0)
            streams.append(stream)
        for index in range(6):
            for number, stream in enumerate(streams):
                pixels = SIX[index] if number == 1 else picture(0)
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, RATE_HZ)
                container.mux(stream.encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def with_cover(folder: Path, name: str, *, video: bool = True, sound: bool = False) -> Path:
    """Write a file that begins with a cover picture, as music stores and phones do."""
    path, plain = folder / name, write_film(folder / "plain.mp4", SIX, sound="aac" if sound else None)
    with av.open(str(plain)) as source, av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        taken = {
            stream.index: container.add_stream_from_template(stream)
            for stream in source.streams
            if video or stream.type == "audio"
        }
        container.mux(cover.encode(av.VideoFrame.from_ndarray(picture(9), "rgb24")))
        container.mux(cover.encode(None))
        for packet in source.demux():
            if packet.dts is not None and packet.stream.index in taken:
                packet.stream = taken[packet.stream.index]
                container.mux(packet)
    return path


def cut(path: Path, share: float) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[: round(len(content) * share)])
    return path


def without_index(path: Path) -> Path:
    return cut(path, path.read_bytes().rindex(b"idx1") / path.stat().st_size)


@dataclass(frozen=True)
class Odd:
    """An unusual file without lost frames.

    make: writes the file into a folder. frames: their numbers. notes: a part of each note, in order. expected: the
    reader's `expected_frames`.
    """

    make: Callable[[Path], Path]
    frames: tuple[int, ...] = tuple(range(6))
    seconds: tuple[float, ...] = EVEN
    notes: tuple[str, ...] = ()
    size: tuple[int, int] = (64, 48)
    expected: int | None = 6


def film(name: str, **options: Any) -> Callable[[Path], Path]:
    return lambda folder: write_film(folder / name, SIX, **options)


FAST = tuple(number / 25 for number in range(6))
ODD = {
    "a GIF": Odd(film("a.gif", codec="gif", pix_fmt="gray")),
    "an animated PNG": Odd(film("a.apng", codec="apng", pix_fmt="rgb24"), expected=None),
    "JPEG pictures with full range": Odd(film("a.avi", codec="mjpeg", pix_fmt="yuvj420p")),
    "JPEG pictures without a container": Odd(
        film("a.mjpeg", codec="mjpeg", pix_fmt="yuvj420p"), seconds=FAST, expected=None
    ),
    "H.264 without a container or times": Odd(
        film("a.h264", kind="h264", options={"bf": "2"}), seconds=FAST, expected=None
    ),
    "AVI with B-frames": Odd(film("a.avi", options={"bf": "2"})),
    "AVI without its index": Odd(lambda folder: without_index(film("a.avi", codec="mpeg4")(folder))),
    "MP4 with B-frames": Odd(film("a.mp4", options={"bf": "2"})),
    "a transport stream with B-frames": Odd(film("a.ts", options={"bf": "2"})),
    "a transport stream whose clock overflows": Odd(film("a.ts", muxer={"output_ts_offset": str(2**33 / 9e4 - 0.25)})),
    "a program stream": Odd(film("a.mpg", codec="mpeg1video", rate_hz=25), seconds=FAST),
    "WebM as a browser records it": Odd(film("a.webm", codec="libvpx", muxer={"live": "1"}), expected=None),
    "no chroma subsampling": Odd(film("a.mkv", pix_fmt="yuv444p")),
    "ten bits": Odd(film("a.mkv", codec="ffv1", pix_fmt="yuv422p10le")),
    "grey": Odd(film("a.mkv", codec="ffv1", pix_fmt="gray")),
    "grey of ten bits": Odd(film("a.mkv", codec="ffv1", pix_fmt="gray10le")),
    "RGB": Odd(film("a.mkv", codec="ffv1", pix_fmt="bgr0")),
    "an odd size": Odd(
        lambda folder: write_film(folder / "a.mkv", [picture(n, 63, 47) for n in range(6)], codec="ffv1"),
        size=(63, 47),
    ),
    "one frame": Odd(lambda folder: write_film(folder / "a.mp4", SIX[2:3]), frames=(2,), seconds=(0.0,), expected=1),
    "pixels twice as wide as high": Odd(
        film("a.mkv", setup=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(2))),
        size=(128, 48),
    ),
    "pixels five times as wide as high": Odd(
        film("a.mkv", setup=lambda stream: setattr(stream.codec_context, "sample_aspect_ratio", Fraction(5))),
        notes=("pixels claim to be 5 times as wide as high",),
    ),
    "a rate that varies": Odd(
        film("a.mkv", pts=[0, 1, 2, 10, 11, 30]), seconds=(0.0, 0.1, 0.2, 1.0, 1.1, 3.0), expected=31
    ),
    "times below zero": Odd(film("a.mkv", pts=[-5, -4, -3, -2, -1, 0])),
    "a late start": Odd(film("a.mkv", pts=[7, 8, 9, 10, 11, 12])),
    "two recordings, one after the other": Odd(two_recordings, notes=("clock restarts or jumps once",)),
    "two recordings with B-frames": Odd(
        lambda folder: two_recordings(folder, options={"bf": "2"}), notes=("clock restarts or jumps once",)
    ),
    "three recordings": Odd(three_recordings, notes=("clock restarts or jumps 2 times",)),
    "a recording of an earlier hour after another": Odd(
        far_second_recording, notes=("clock restarts or jumps once",)
    ),
    "a recording of an earlier hour after another, in a large file": Odd(
        lambda folder: made_large(far_second_recording(folder)), notes=("clock restarts or jumps once",)
    ),
    "a recording of a later hour after another": Odd(
        much_later_second_recording, notes=("clock restarts or jumps once",)
    ),
    "a recording of a later hour with B-frames, in a large file": Odd(
        lambda folder: made_large(much_later_second_recording(folder, options={"bf": "2"})),
        notes=("clock restarts or jumps once",),
    ),
    "two program streams": Odd(
        joined_programs, frames=tuple(range(10)), seconds=tuple(number / 25 for number in range(10)), expected=10,
        notes=("clock restarts or jumps once",),
    ),
    "a counter that jumps": Odd(lambda folder: long_gap(folder, False), notes=("clock restarts or jumps once",)),
    "pictures that were missing while the sound went on": Odd(
        lambda folder: long_gap(folder, True), seconds=(0.01, 0.11, 0.21, 20.31, 20.41, 20.51)
    ),
    "a cover picture first": Odd(lambda folder: with_cover(folder, "a.mp4"), notes=("cover picture is ignored",)),
    "a cover picture and sound": Odd(
        lambda folder: with_cover(folder, "b.mp4", sound=True), notes=("cover picture is ignored",)
    ),
    "two videos, the second by default": Odd(
        lambda folder: several_videos(folder, "a.mkv", 1), notes=("2 videos: its default",)
    ),
    "two videos": Odd(
        lambda folder: several_videos(folder, "a.mkv", 0), frames=(0,) * 6, notes=("2 videos: its default",)
    ),
    "frames of another size": Odd(size_changing, seconds=FAST, notes=("changes from 64x48 to 32x32",), expected=None),
    "a file that breaks off": Odd(
        lambda folder: cut(film("a.mkv", codec="ffv1", pix_fmt="bgr0")(folder), 0.7),
        frames=(0, 1, 2), seconds=(0.0, 0.1, 0.2),
    ),
    "a colon in its name": Odd(film("a:b.mp4")),
    "a name like an address": Odd(film("http:b.mp4")),
    "a name like a list": Odd(film("concat:a.mp4|b.mp4")),
    "a name like an option": Odd(film("-i.mp4")),
    "a name like a pattern": Odd(film("%03d 50%.mp4")),
}  # fmt: skip


@pytest.mark.parametrize("what", ODD)
def test_unusual_files_are_read_correctly(tmp_path, monkeypatch, what):
    """Frames, times, sizes, the expected count and the notes are right, and no frame is lost."""
    odd = ODD[what]
    path = odd.make(tmp_path)
    monkeypatch.chdir(tmp_path)
    with VideoReader(path.name) as reader:
        assert reader.expected_frames == odd.expected
        frames = list(reader.frames())
    assert reader.lost_frames == 0
    assert numbers([frame.pixels for frame in frames]) == list(odd.frames)
    assert [frame.seconds for frame in frames] == pytest.approx(odd.seconds, abs=0.0015)
    assert {(frame.pixels.shape[1], frame.pixels.shape[0]) for frame in frames} == {odd.size}
    assert len(reader.notes) == len(odd.notes), reader.notes
    for note, piece in zip(reader.notes, odd.notes, strict=True):
        assert piece in note


def song(folder: Path) -> Path:
    return with_cover(folder, "song.m4a.mp4", video=False, sound=True)


def still(name: str, codec: str, pix_fmt: str, kind: str) -> Callable[[Path], Path]:
    return lambda folder: write_film(folder / name, SIX[:1], codec=codec, pix_fmt=pix_fmt, kind=kind)


def text(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_text("no video at all\n" * 50)
        return folder / name

    return make


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.mp4")
    return folder / "pipe.mp4"


def without_frames(folder: Path) -> Path:
    """Write a video whose packets cannot be decoded."""
    path = write_film(folder / "a.mkv", SIX, codec="mpeg4", options={"g": "1"})
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    content = path.read_bytes()
    for packet in packets:
        content = content.replace(packet, bytes(len(packet)))
    path.write_bytes(content)
    return path


NO_VIDEO = {
    "a song with a cover": (song, "is a song with a cover picture"),
    "a JPEG": (still("a.jpg", "mjpeg", "yuvj420p", "image2"), "is a still picture"),
    "a JPEG with another name": (still("a.mp4", "mjpeg", "yuvj420p", "mjpeg"), "is a still picture"),
    "a PNG with another name": (still("a.mov", "png", "rgb24", "image2pipe"), "is a still picture"),
    "a GIF that does not move": (still("a.gif", "gif", "gray", "gif"), "is a still picture"),
    "a text": (text("a.mp4"), "cannot be read as a video"),
    "a text that FFmpeg would draw": (text("a.txt"), "cannot be read as a video: it is text"),
    "a folder": (lambda folder: folder, "is a folder"),
    "a pipe": (pipe, "is a pipe"),
    "frames that do not decode": (without_frames, "not a single frame can be decoded"),
}


@pytest.mark.parametrize("what", NO_VIDEO)
def test_files_without_video_are_rejected(tmp_path, what):
    """The error says in one line what the file is, and names it."""
    make, words = NO_VIDEO[what]
    path = make(tmp_path)
    with pytest.raises(UnreadableVideo, match=words) as refused, VideoReader(str(path)) as reader:
        list(reader.frames())
    assert path.name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_repeated_times_are_spread(tmp_path):
    """Frames with the same time are spread half a frame apart, and later frames keep their times."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for pixels, pts in zip(SIX, [0, 100, 100, 100, 300, 400], strict=True):
            packet = stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p"))[0]
            packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), pts, pts
            container.mux(packet)
    with VideoReader(str(path)) as reader:
        seconds = [frame.seconds for frame in reader.frames()]
    assert seconds == pytest.approx([0.0, 0.1, 0.15, 0.2, 0.3, 0.4])


def test_fields_in_separate_packets_count_as_half_a_frame(tmp_path, monkeypatch):
    """Separate fields count half, discarded packets not at all. The demuxer is fake: no encoder here writes fields."""
    tick, path = Fraction(1, 90_000), tmp_path / "a.ts"
    path.write_bytes(b"G")
    field, frame = (SimpleNamespace(size=9, is_discard=False, duration=ticks, time_base=tick) for ticks in (1800, 3600))
    cut_away = SimpleNamespace(size=9, is_discard=True, duration=3600, time_base=tick)
    flush = SimpleNamespace(size=0, is_discard=False, duration=0, time_base=tick)
    container = MagicMock()
    container.__enter__.return_value.demux.return_value = iter([frame, *[field] * 4, cut_away, frame, flush])
    stream = SimpleNamespace(codec_context=SimpleNamespace(framerate=Fraction(25)))
    monkeypatch.setattr(counting, "opened", lambda source: container)
    monkeypatch.setattr(counting, "chosen_video", lambda container, source: (stream, []))
    assert counting.counted_frames(str(path)) == 4


def test_an_unchanged_file_is_counted_once(tmp_path, monkeypatch):
    """The frame count is cached, and a file that grew is counted again."""
    path = two_recordings(tmp_path)
    counted: list[str] = []

    def opens(source: str) -> Any:
        counted.append(source)
        return opened(source)

    monkeypatch.setattr(counting, "opened", opens)
    for expected, so_far in ((6, 1), (6, 1), (9, 2)):
        if expected == 9:
            path.write_bytes(path.read_bytes() + (tmp_path / "1.ts").read_bytes())
        with VideoReader(str(path)) as reader:
            assert reader.expected_frames == expected
        assert len(counted) == so_far


def test_an_impossible_length_is_noted(tmp_path):
    """If a file of a few kilobytes promises millions of frames, the number is ignored, with a note."""
    path = write_film(tmp_path / "a.mkv", SIX)
    with av.open(str(path)) as container:
        assert (container.duration or 0) / av.time_base == pytest.approx(0.6)
    content = path.read_bytes()
    clock = b"00:00:00.600000000"
    path.write_bytes(content.replace(clock, b"99:00:00.600000000"))
    with VideoReader(str(path)) as reader:
        assert reader.expected_frames is None
        assert len(list(reader.frames())) == 6
        assert reader.lost_frames == 0
        assert any("promises 3564006 frames" in note for note in reader.notes)
