"""Cameras and streams that stop sending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import pytest

from serving.errors import UnreadableVideo
from tests.unit.video.films import picture
from video.reader import VideoReader

Camera = Callable[[int], str]
"""Returns the address of a stream that falls silent after so many pictures."""


@pytest.fixture
def camera() -> Iterator[Camera]:
    over = threading.Event()

    class Stream(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=picture")
            self.end_headers()
            for number in range(int(self.path[1:])):
                jpeg = cv2.imencode(".jpg", picture(number))[1].tobytes()
                head = f"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                self.wfile.write(head.encode() + jpeg + b"\r\n")
            over.wait()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Stream)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield lambda pictures: f"http://127.0.0.1:{server.server_port}/{pictures}"
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("video.opening._SILENT_SECONDS", (0.3, 0.2))


def test_a_stream_that_sends_nothing_is_refused_with_the_reason(camera: Camera) -> None:
    """FFmpeg calls our time limit an immediate exit, which explains nothing."""
    with pytest.raises(UnreadableVideo, match="cannot be opened: it sent nothing for too long"):
        VideoReader(camera(0))


def test_a_stream_that_falls_silent_ends_with_a_note(camera: Camera) -> None:
    """The frames until then are read, and the user learns why there are no more."""
    with VideoReader(camera(200)) as reader:
        frames = list(reader.frames())
        assert len(frames) > 100
        assert reader.notes == ("it broke off: it sent nothing for too long",)
