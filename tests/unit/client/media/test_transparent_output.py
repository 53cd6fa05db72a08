"""Outputs that keep the opacity: VP9 in WebM, ProRes 4444 in MOV, and folders of PNG frames."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import av.error
import cv2
import numpy as np
import pytest

from client.errors import CommandError, UnwritableVideo
from client.media.frame_folder import FrameFolder, check_frame_folder
from client.media.video_writer import Recording, check_video_output
from motion.frame import RgbaPicture
from provenance.credentials.file_marks import FileMarks
from video.reader import VideoReader
from video.sound import SoundTrack

FRAMES = 6
SIDE_PX = 96
COLOUR = (200, 80, 40)
MOST_WRONG_LEVELS = {".webm": 40, ".mov": 2}
MEAN_WRONG_LEVELS = {".webm": 1.0, ".mov": 0.2}


def dancer(number: int) -> RgbaPicture:
    """A disc with a soft edge that moves to the right, straight alpha; black where it is clear, as servers send it."""
    hard = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
    cv2.circle(hard, (30 + 5 * number, SIDE_PX // 2), 20, (255,), -1)
    alpha = cv2.GaussianBlur(hard, (0, 0), 1.5)
    return np.dstack([np.where(alpha[..., None] > 0, COLOUR, (0, 0, 0)), alpha]).astype(np.uint8)


def recorded(out: Path, sound: SoundTrack | None = None) -> Path:
    """Write the dance, ten frames a second."""
    rate = Fraction(10)
    with Recording(out, time_base=1 / rate, frame_rate=rate, marks=None, sound=sound, keeps_opacity=True) as recording:
        for number in range(FRAMES):
            recording.write(dancer(number), number)
        recording.keep()
    return out


def read_back(path: Path) -> list[RgbaPicture]:
    """Decode all frames with their opacity. FFmpeg's own VP9 decoder ignores it; libvpx does not."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        if path.suffix == ".mov":
            frames = list(container.decode(stream))
        else:
            assert stream.metadata["ALPHA_MODE"] == "1"
            decoder = av.codec.CodecContext.create("libvpx-vp9", "r")
            packets = [packet for packet in container.demux(stream) if packet.size]
            frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
    return [np.asarray(frame.reformat(format="rgba", src_colorspace=1).to_ndarray(), np.uint8) for frame in frames]


@pytest.mark.parametrize("suffix", [".webm", ".mov"])
def test_the_opacity_survives_the_video(tmp_path: Path, suffix: str):
    """Decoded again, every frame has its opacity, and the edge has the dancer's colour: it is not mixed with black."""
    frames = read_back(recorded(tmp_path / f"out{suffix}"))
    assert len(frames) == FRAMES
    for number, frame in enumerate(frames):
        wrong = np.abs(frame[..., 3].astype(int) - dancer(number)[..., 3])
        assert wrong.max() <= MOST_WRONG_LEVELS[suffix]
        assert wrong.mean() <= MEAN_WRONG_LEVELS[suffix]
        edge = (dancer(number)[..., 3] > 60) & (dancer(number)[..., 3] < 200)
        assert np.abs(frame[edge][:, :3].astype(int) - COLOUR).mean() < 12


@pytest.mark.parametrize(("suffix", "codec"), [(".webm", "opus"), (".mov", "aac")])
def test_the_sound_is_kept(tmp_path: Path, make_video: Callable[..., Path], suffix: str, codec: str):
    """WebM holds no AAC: its sound is encoded as Opus. In MOV it is copied."""
    source = make_video(frames=FRAMES, rate=10, sound="aac")
    with VideoReader(str(source)) as reader:
        sound = SoundTrack(str(source), reader.start_seconds)
    with av.open(str(recorded(tmp_path / f"out{suffix}", sound))) as container:
        track = container.streams.audio[0]
        assert track.codec_context.codec.canonical_name == codec
        seconds = sum(frame.samples for frame in container.decode(track)) / track.codec_context.sample_rate
    assert seconds == pytest.approx(FRAMES / 10, abs=0.1)


@pytest.mark.parametrize("name", ["out.mp4", "out.mkv", "out.gif"])
def test_other_containers_are_refused_with_those_that_work(tmp_path: Path, name: str):
    """The message names PNG frames, WebM and MOV."""
    with pytest.raises(UnwritableVideo, match=r"a folder for PNG frames, \.webm \(VP9\) or \.mov \(ProRes 4444\)"):
        check_video_output(tmp_path / name, "clip.mp4", force=False, keeps_opacity=True)


def test_webm_is_only_for_a_transparent_background(tmp_path: Path):
    """An ordinary video is written as before."""
    check_video_output(tmp_path / "out.webm", "clip.mp4", force=False, keeps_opacity=True)
    with pytest.raises(UnwritableVideo, match=r"must end in \.mp4, \.mov or \.mkv"):
        check_video_output(tmp_path / "out.webm", "clip.mp4", force=False)


def test_frames_are_png_files_with_the_exact_opacity(tmp_path: Path):
    """One file for each frame, in order; they appear when all are complete."""
    out = tmp_path / "new" / "frames"
    check_frame_folder(out)
    with FrameFolder(out, FileMarks(None)) as folder:
        for number in range(3):
            folder.write(dancer(number), number)
        assert not out.exists()
        folder.keep()
    assert sorted(path.name for path in out.iterdir()) == ["000000.png", "000001.png", "000002.png"]
    stored = cv2.imread(str(out / "000001.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(cv2.cvtColor(stored, cv2.COLOR_BGRA2RGBA), dancer(1))


def test_frames_that_are_not_kept_leave_nothing(tmp_path: Path):
    """An interrupted dance deletes its frames, and no frame at all is an error."""
    out = tmp_path / "frames"
    with FrameFolder(out, FileMarks(None)) as folder:
        folder.write(dancer(0), 0)
    with (
        pytest.raises(UnwritableVideo, match="there is no picture to write"),
        FrameFolder(out, FileMarks(None)) as folder,
    ):
        folder.keep()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_not_written_to(tmp_path: Path):
    """Frames of an earlier dance, or anything else, are never mixed with new ones; an empty folder is used."""
    check_frame_folder(tmp_path)
    with FrameFolder(tmp_path, FileMarks(None)) as folder:
        folder.write(dancer(0), 0)
        folder.keep()
    assert (tmp_path / "000000.png").exists()
    with pytest.raises(CommandError, match="is not empty; name a new or an empty folder"):
        check_frame_folder(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="is not a folder"):
        check_frame_folder(tmp_path / "file")
