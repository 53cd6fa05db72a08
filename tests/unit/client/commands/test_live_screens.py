"""`dance transfer --live` with screens beside the window."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import av
import av.error
import numpy as np
import pytest

from client.__main__ import run
from client.screens.picture_stream import PictureStream
from client.transfer.run import WARM_UP_FRAMES
from tests.faults.deployment import free_ports
from tests.unit.client.conftest import grey_level
from video.reader import VideoReader


@pytest.fixture(autouse=True)
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


def live(source: Path, address: str, *more: str) -> int:
    return run(["transfer", str(source), "--actor", "juggler", "--live", "--server", address, *more])


def test_pictures_can_be_watched_while_the_session_runs(serve, make_video, monkeypatch, capsys):
    """A player that opens the address sees the pictures of the answers in order; the stream ends with the session."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    levels: list[int] = []

    def watch() -> None:
        # FFmpeg knows no end of such a stream, and reports it as an error.
        with (
            suppress(av.error.OSError),
            av.open(f"http://{address}/stream.mjpg", format="mpjpeg", timeout=60) as container,
        ):
            for frame in container.decode(video=0):
                pixels = frame.to_ndarray(format="rgb24")
                levels.append(round((float(np.median(pixels)) - 20) / 10))

    watching = threading.Thread(target=watch)

    def watched(host: str, port: int):
        stream = PictureStream(host, port)
        watching.start()
        return stream

    monkeypatch.setattr("client.screens.options.PictureStream", watched)
    assert live(make_video(frames=15, rate=20), serve().address, "--mjpeg", address) == 0
    watching.join()
    assert f"the pictures will be at http://{address}/stream.mjpg, once the actor dances" in capsys.readouterr().err
    assert levels == sorted(set(levels))
    assert levels[0] >= WARM_UP_FRAMES
    assert levels[-1] == WARM_UP_FRAMES + 14
    assert len(levels) > 5


class Camera:
    """pyvirtualcam's camera."""

    device = "/dev/video9"
    sent: list[np.ndarray]
    breaks = False

    def __init__(self, *, width: int, height: int, fps: float) -> None:
        self.width, self.height = width, height

    def send(self, picture: np.ndarray) -> None:
        if self.breaks:
            raise RuntimeError("it was unplugged")
        self.sent.append(picture)

    def close(self) -> None:
        pass


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    """Put a virtual camera into this machine."""
    monkeypatch.setattr(Camera, "sent", [], raising=False)
    monkeypatch.setattr(Camera, "breaks", False)
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=Camera))
    return Camera


def test_pictures_reach_a_virtual_camera(serve, make_video, camera, capsys):
    """The device gets the pictures at their size."""
    assert live(make_video(frames=6, rate=20), serve().address, "--virtual-camera") == 0
    assert {picture.shape for picture in camera.sent} == {(64, 64, 3)}
    assert abs(int(np.median(camera.sent[-1])) - grey_level(WARM_UP_FRAMES + 5)) < 6
    assert "the pictures will be on the virtual camera /dev/video9, once the actor dances" in capsys.readouterr().err


def test_a_screen_that_fails_does_not_cost_the_recording(serve, make_video, camera, tmp_path, capsys):
    """The session goes on and says so; if nothing else shows or records the pictures, it ends."""
    camera.breaks, out = True, tmp_path / "out.mp4"
    source, address = make_video(frames=12, rate=20), serve().address
    assert live(source, address, "--virtual-camera", "-o", str(out)) == 0
    said = capsys.readouterr().err
    assert said.count("/dev/video9 failed: it was unplugged; the session goes on without it") == 1
    with VideoReader(str(out)) as recorded:
        assert len(list(recorded.frames())) > 3
    assert live(source, address, "--virtual-camera") == 1
    assert "error: the virtual camera /dev/video9 failed: it was unplugged" in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--mjpeg", ":8090"), ("--virtual-camera",)])
def test_screens_are_for_live_sessions(serve, make_video, option, capsys):
    """A file's transfer is not shown."""
    command = ["transfer", str(make_video()), "--actor", "juggler", "--server", serve().address, *option]
    assert run(command) == 2
    assert f"{option[0]} is for sessions with --live" in capsys.readouterr().err


def test_others_on_the_network_are_warned_of(serve, make_video, capsys):
    """A host beyond this machine has to be named, and the command says that there is no password.

    For all addresses of this machine, the line has one that a browser here can open.
    """
    port = free_ports(1)[0]
    assert live(make_video(frames=2, rate=20), serve().address, "--mjpeg", f"0.0.0.0:{port}") == 0
    told = capsys.readouterr().err
    assert f"everybody who can reach port {port} of this machine can watch: there is no password" in told
    assert (
        f"will be at http://127.0.0.1:{port}/stream.mjpg, and on port {port} of all addresses of this machine," in told
    )
