"""`dance transfer --background` against a service on a real port."""

from __future__ import annotations

import os
import signal
import threading
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from client.__main__ import run
from client.media.background import BackgroundVideo
from client.media.video_writer import Recording
from motion.frame import Picture
from video.reader import VideoReader

GREEN = (0, 177, 64)


def pictures_of(path: Path) -> list[Picture]:
    """All pictures of a video."""
    with VideoReader(str(path)) as reader:
        return [frame.pixels for frame in reader.frames()]


def transfer(source: Path, out: Path, address: str, *more: str) -> int:
    """Run `dance transfer`; returns its exit code."""
    return run(["transfer", str(source), "--actor", "juggler", "-o", str(out), "--server", address, *more])


def test_the_server_lays_the_dancer_over_a_colour_or_a_picture(serve, make_video, tmp_path):
    """The config has the colour, or the picture as a JPEG; the answers are written as they come."""
    source = make_video(frames=3)
    picture = tmp_path / "beach.png"
    cv2.imwrite(str(picture), np.full((30, 40, 3), 90, np.uint8))
    for what in ("green", str(picture)):
        fake = serve(has_wardrobe=True)
        assert transfer(source, tmp_path / "out.mp4", fake.address, "--background", what, "--force") == 0
        background = fake.behaviour.seen_configs[0].background
        if what == "green":
            assert (background.colour.red, background.colour.green, background.colour.blue) == GREEN
        else:
            assert (background.picture.width_px, background.picture.height_px) == (40, 30)
            assert background.picture.data.startswith(b"\xff\xd8")
        assert len(pictures_of(tmp_path / "out.mp4")) == 3


def test_a_beginning_without_a_person_shows_the_background(serve, make_video, tmp_path):
    """The client knows what is behind the dancer, so the beginning need not wait for the first picture."""
    fake, out = serve(has_wardrobe=True, no_person=frozenset({0, 1})), tmp_path / "out.mp4"
    assert transfer(make_video(frames=4), out, fake.address, "--background", "green") == 0
    pictures = pictures_of(out)
    for picture in pictures[:2]:
        assert np.abs(picture.astype(int) - GREEN).mean() < 8
    assert np.abs(pictures[2].astype(int) - GREEN).mean() > 30


def test_a_video_is_laid_behind_the_dancer(serve, make_video, tmp_path):
    """The server draws the dancer alone; behind them the video runs and begins again, with the source's sound."""
    source = make_video("source.mp4", frames=8, sound="aac")
    behind = tmp_path / "behind.mp4"
    with Recording(behind, time_base=Fraction(1, 10), frame_rate=Fraction(10), marks=None) as recording:
        for number in range(3):
            recording.write(np.full((64, 64, 3), 60 * number, np.uint8), number)
        recording.keep()
    fake, out = serve(has_wardrobe=True), tmp_path / "out.mp4"
    assert transfer(source, out, fake.address, "--background", str(behind)) == 0
    assert fake.behaviour.seen_configs[0].background.transparent
    pictures = pictures_of(out)
    assert len(pictures) == 8
    assert [round(picture[:, 40:].mean() / 60) for picture in pictures] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [round((float(np.median(picture[4:12, 4:20])) - 20) / 10) for picture in pictures] == list(range(8))
    with av.open(str(out)) as container:
        assert len(container.streams.audio) == 1


def test_a_damaged_background_video_is_reported(serve, make_video, tmp_path, capsys):
    """The frames that can be decoded are shown again and again, and a warning says how many cannot."""
    source, behind = make_video(frames=60), make_video("behind.mp4", frames=60, options={"movflags": "faststart"})
    content = behind.read_bytes()
    behind.write_bytes(content[: len(content) * 2 // 3])
    fake = serve(has_wardrobe=True)
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--background", str(behind)) == 0
    lost = 60 - len(pictures_of(behind))
    assert 0 < lost < 60
    assert f"--background {behind} is damaged or cut off: {lost} frames cannot be decoded" in capsys.readouterr().err
    assert len(pictures_of(tmp_path / "out.mp4")) == 60


def test_an_interrupt_closes_the_background_after_its_last_reader(serve, make_video, tmp_path, monkeypatch):
    """FFmpeg must not decode from a file that is closed, so the thread that writes ends first."""
    closed, events = threading.Event(), []
    read, close = BackgroundVideo.at, BackgroundVideo.__exit__

    def interrupted(video: BackgroundVideo, seconds: float) -> Picture:
        picture = read(video, seconds)
        if not events:
            events.append("reads")
            os.kill(os.getpid(), signal.SIGINT)
            closed.wait(0.2)
            events.append("has read")
        return picture

    def closing(video: BackgroundVideo, *error: object) -> None:
        events.append("closes")
        closed.set()
        close(video, *error)

    monkeypatch.setattr(BackgroundVideo, "at", interrupted)
    monkeypatch.setattr(BackgroundVideo, "__exit__", closing)
    source, behind = make_video(frames=4), make_video("behind.mp4", frames=2)
    address = serve(has_wardrobe=True).address
    assert transfer(source, tmp_path / "out.mp4", address, "--background", str(behind)) == 130
    assert events == ["reads", "has read", "closes"]


def test_a_transparent_background_keeps_the_opacity(serve, make_video, tmp_path, monkeypatch, capsys):
    """PNG frames in a folder, without sound, and WebM by default; an ordinary container is refused."""
    source = make_video(frames=3, sound="aac")
    fake, out = serve(has_wardrobe=True), tmp_path / "frames"
    assert transfer(source, out, fake.address, "--background", "transparent") == 0
    assert "PNG frames have no sound" in capsys.readouterr().err
    stored = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted(out.iterdir())]
    assert len(stored) == 3
    assert all((picture[:, :32, 3] == 255).all() and not picture[:, 32:, 3].any() for picture in stored)
    monkeypatch.chdir(tmp_path)
    command = ["transfer", str(source), "--actor", "juggler", "--server", fake.address, "--background", "transparent"]
    assert run(command) == 0
    with av.open(str(tmp_path / "clip.juggler.webm")) as container:
        assert container.streams.video[0].codec_context.name == "vp9"
        assert len(container.streams.audio) == 1
    assert transfer(source, tmp_path / "out.mp4", fake.address, "--background", "transparent") == 1
    assert "cannot keep a transparent background" in capsys.readouterr().err


def test_a_comparison_is_an_ordinary_video(serve, make_video, tmp_path):
    """Grey squares stand for transparency."""
    fake, out = serve(has_wardrobe=True), tmp_path / "out.mp4"
    assert transfer(make_video(frames=2), out, fake.address, "--background", "transparent", "--compare") == 0
    actor = pictures_of(out)[0][:, -256:]
    assert {int(round(value, -1)) for value in np.percentile(actor[20:60, 160:240], [5, 95])} == {150, 200}


@pytest.mark.parametrize("what", ["green", "transparent"])
def test_an_actor_without_a_wardrobe_is_refused_before_a_frame_is_sent(serve, make_video, tmp_path, capsys, what):
    """The error says what to do; the body is not measured first."""
    fake = serve()
    assert transfer(make_video(), tmp_path / "out.webm" if what == "transparent" else tmp_path / "out.mp4",
                    fake.address, "--background", what) == 1  # fmt: skip
    told = capsys.readouterr().err
    assert "actor 'juggler' was published without a wardrobe, so it cannot leave its own place" in told
    assert fake.behaviour.seen_configs == []
    assert fake.behaviour.fitted_frames == 0
