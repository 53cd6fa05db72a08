"""Reading and writing videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from client.errors import UnwritableVideo
from client.media.video_writer import Recording
from motion.frame import Picture
from serving.errors import UnreadableVideo
from video.opening import is_endless
from video.pictures import turned
from video.reader import VideoReader
from video.sound import SoundTrack


def copied(source: Path, out: Path) -> None:
    with VideoReader(str(source)) as reader:
        sound = SoundTrack(str(source), reader.start_seconds)
        with Recording(
            out, time_base=reader.time_base, frame_rate=reader.frame_rate, marks=None, sound=sound
        ) as recording:
            for frame in reader.frames():
                recording.write(frame.pixels, frame.pts)
            recording.keep()


def corner(pixels: Picture, down: bool, right: bool) -> str:
    pixel = pixels[-4 if down else 4, -4 if right else 4]
    return "red" if pixel[0] > 150 else "blue" if pixel[2] > 150 else "black"


@pytest.mark.parametrize(
    ("degrees", "mirrored", "size", "red", "blue"),
    [
        (None, False, (64, 96), (0, 0), (1, 1)),
        (90, False, (96, 64), (1, 0), (0, 1)),  # counter-clockwise
        (-90, False, (96, 64), (0, 1), (1, 0)),
        (180, False, (64, 96), (1, 1), (0, 0)),
        (None, True, (64, 96), (0, 1), (1, 0)),
    ],
)
def test_frames_are_upright(make_video, degrees, mirrored, size, red, blue):
    """Applies rotation and mirroring of the display matrix."""
    with VideoReader(str(make_video(frames=2, turned_degrees=degrees, mirrored=mirrored))) as reader:
        pixels = next(reader.frames()).pixels
    assert pixels.shape[:2] == size
    assert corner(pixels, *red) == "red"
    assert corner(pixels, *blue) == "blue"


def test_display_matrix_of_an_odd_angle_takes_the_nearest_quarter():
    """A matrix of 80 degrees rotates by 90."""
    cos, sin = int(0.17 * 65536), int(0.98 * 65536)
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    nearest = turned(pixels, np.array([cos, sin, 0, -sin, cos, 0, 0, 0, 1], np.int32))
    exact = turned(pixels, np.array([0, 65536, 0, -65536, 0, 0, 0, 0, 1], np.int32))
    assert np.array_equal(nearest, exact)


def test_reader_promises_what_it_gives(make_video):
    """A plain file has its frames, rate and times; no frame is lost."""
    with VideoReader(str(make_video(frames=9, rate=25))) as reader:
        assert (reader.expected_frames, reader.frame_rate_hz) == (9, 25)
        frames = list(reader.frames())
        assert reader.lost_frames == 0
    assert [frame.index for frame in frames] == list(range(9))
    assert [round(frame.seconds * 25) for frame in frames] == list(range(9))


def test_frames_that_were_not_read_are_not_lost(make_video):
    """A reader may stop early, as a live session does that the user ends."""
    with VideoReader(str(make_video(frames=9, rate=25))) as reader:
        next(reader.frames())
        assert reader.lost_frames == 0


def test_transport_streams_begin_at_zero(make_video):
    """The arbitrary start of a transport stream's clock is subtracted."""
    with VideoReader(str(make_video("clip.ts", frames=5))) as reader:
        assert abs(next(reader.frames()).seconds) < 0.05


def test_matroska_that_breaks_off_says_about_how_much_is_lost(make_video):
    """Without an index, the number of lost frames follows from the stated duration."""
    source = make_video("clip.mkv", frames=60)
    content = source.read_bytes()
    source.write_bytes(content[: len(content) // 2])
    with VideoReader(str(source)) as reader:
        decoded = len(list(reader.frames()))
        assert 5 < decoded < 55
        assert abs(reader.lost_frames - (60 - decoded)) <= 1


def test_file_with_nothing_but_sound_is_no_video(tmp_path):
    """A song contains no video."""
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        voice = container.add_stream("aac", rate=48_000)
        voice.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(voice.encode(frame))
        container.mux(voice.encode(None))
    with pytest.raises(UnreadableVideo, match="contains no video"):
        VideoReader(str(path))


@pytest.mark.parametrize(
    ("source", "endless"),
    [("0", True), ("/dev/video2", True), ("rtsp://host/cam", True), ("clip.mp4", False), ("a/0", False)],
)
def test_cameras_and_streams_are_told_from_files(source, endless):
    """A number or a device is a camera, an address is a stream, everything else is a file."""
    assert is_endless(source) is endless


def test_odd_sizes_become_even_by_repeating(tmp_path):
    """H.264 with 4:2:0 needs even sizes: the last row and column are repeated."""
    out = tmp_path / "odd.mp4"
    with Recording(out, time_base=Fraction(1, 10), frame_rate=Fraction(10), marks=None) as recording:
        for index in range(3):
            recording.write(np.full((33, 47, 3), 120, np.uint8), index)
        recording.keep()
    with VideoReader(str(out)) as reader:
        pixels = next(reader.frames()).pixels
    assert pixels.shape == (34, 48, 3)
    assert abs(int(pixels[33, 47, 1]) - 120) < 4


def test_colours_survive(tmp_path):
    """A saturated colour survives writing and reading to within a few levels."""
    out, colour = tmp_path / "colour.mp4", np.array([200, 60, 30])
    with Recording(out, time_base=Fraction(1, 10), frame_rate=Fraction(10), marks=None) as recording:
        recording.write(np.full((64, 64, 3), colour, np.uint8), 0)
        recording.keep()
    with VideoReader(str(out)) as reader:
        assert np.abs(next(reader.frames()).pixels[32, 32].astype(int) - colour).max() <= 4


@pytest.mark.parametrize(
    ("source", "sound", "video", "out", "codec"),
    [
        ("a.mp4", "aac", "libx264", "o.mp4", "aac"),
        ("a.mkv", "pcm_s16le", "libx264", "o.mp4", "aac"),
        ("a.mkv", "pcm_s16le", "libx264", "o.mkv", "pcm_s16le"),
        ("a.webm", "libopus", "libvpx", "o.mov", "aac"),
        ("a.webm", "libopus", "libvpx", "o.mp4", "opus"),
        ("a.ts", "mp2", "libx264", "o.mp4", "aac"),
    ],
)
def test_sound_is_kept(make_video, tmp_path, source, sound, video, out, codec):
    """Sound is copied if the container supports its codec, else re-encoded as AAC; its length stays."""
    copied(make_video(source, frames=12, sound=sound, codec=video), tmp_path / out)
    with av.open(str(tmp_path / out)) as container:
        assert container.streams.audio[0].codec_context.codec.canonical_name == codec
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert samples / 48_000 == pytest.approx(1.2, abs=0.06)


def test_recording_appears_only_when_it_is_kept(tmp_path):
    """Until keep() there is only a hidden file; without keep() it is deleted."""
    out = tmp_path / "new" / "o.mp4"
    with Recording(out, time_base=Fraction(1, 10), frame_rate=Fraction(10), marks=None) as recording:
        recording.write(np.zeros((32, 32, 3), np.uint8), 0)
        assert not out.exists()
    assert list(out.parent.iterdir()) == []


def test_recording_of_nothing_cannot_be_kept(tmp_path):
    """A recording without pictures is an error."""
    with (
        pytest.raises(UnwritableVideo, match="no picture"),
        Recording(tmp_path / "o.mp4", time_base=Fraction(1, 10), frame_rate=Fraction(10), marks=None) as recording,
    ):
        recording.keep()


def test_output_that_appears_meanwhile_is_not_overwritten(tmp_path):
    """A file that another program created meanwhile stays."""
    out = tmp_path / "o.mp4"
    with Recording(out, time_base=Fraction(1, 10), frame_rate=Fraction(10), marks=None) as recording:
        recording.write(np.zeros((32, 32, 3), np.uint8), 0)
        out.write_bytes(b"precious")
        with pytest.raises(UnwritableVideo, match="created in the meantime"):
            recording.keep()
    assert out.read_bytes() == b"precious"
