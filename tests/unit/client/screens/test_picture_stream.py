"""The shown pictures over HTTP, read by the standard library and by FFmpeg's reader of such streams."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import av
import numpy as np
import pytest

from client.errors import CommandError, UsageError
from client.screens.picture_stream import PictureStream, parsed_screen_address
from motion.frame import EncodedPicture, Picture, PictureEncoding
from serving.pictures.codec import decode_picture, encode_picture


def picture(level: int, side_px: int = 32) -> Picture:
    return np.full((side_px, side_px, 3), level, np.uint8)


def level_of(jpeg: bytes, side_px: int = 32) -> int:
    pixels = decode_picture(EncodedPicture(PictureEncoding.JPEG, side_px, side_px, jpeg))
    return round(float(pixels.mean()))


_OPEN = ExitStack()


@pytest.fixture
def stream() -> Iterator[PictureStream]:
    stream = PictureStream("127.0.0.1", 0)
    with _OPEN:
        yield stream
    stream.close()


def get(stream: PictureStream, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(stream.address.removeprefix("http://"), timeout=30)
    _OPEN.callback(connection.close)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    _OPEN.callback(response.close)
    return response


class Viewer:
    """A viewer that takes one picture of the stream at a time."""

    def __init__(self, stream: PictureStream, path: str = "/stream.mjpg") -> None:
        self.response = get(stream, path)
        assert self.response.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=picture"
        assert self.response.readline() == b"--picture\r\n"

    def takes(self) -> int:
        """Return the level of the next picture, once its end was seen."""
        assert self.response.readline() == b"Content-Type: image/jpeg\r\n"
        size = int(self.response.readline().removeprefix(b"Content-Length: "))
        assert self.response.readline() == b"\r\n"
        jpeg = self.response.read(size)
        assert self.response.readline() + self.response.readline() == b"\r\n--picture\r\n"
        return level_of(jpeg)


@pytest.mark.parametrize("path", ["/", "/stream.mjpg"])
def test_viewers_get_each_picture_as_it_is_shown(stream, path):
    """Several viewers see the pictures; one who comes later begins with the newest. It ends with the session."""
    assert stream.show(picture(40))
    first = Viewer(stream, path)
    assert first.takes() == 40
    stream.show(picture(80))
    second = Viewer(stream, path)
    assert (first.takes(), second.takes()) == (80, 80)
    stream.show(picture(120))
    assert (first.takes(), second.takes()) == (120, 120)
    stream.close()
    assert first.response.read() == second.response.read() == b""


def test_a_player_reads_the_stream(stream):
    """FFmpeg, which VLC and OBS use, sees the pictures in order and at their size."""
    ended = threading.Event()

    def show() -> None:
        level = 0
        while not ended.wait(0.01):  # a camera: pictures come even without a viewer
            level = (level + 1) % 200
            stream.show(picture(level, 64))

    showing = threading.Thread(target=show)
    showing.start()
    try:
        with av.open(stream.address + "/stream.mjpg", format="mpjpeg", timeout=30) as container:
            seen = []
            for frame in container.decode(video=0):
                assert (frame.width, frame.height) == (64, 64)
                seen.append(round(float(frame.to_ndarray(format="rgb24").mean())))
                if len(seen) == 5:
                    break
    finally:
        ended.set()
        showing.join()
    steps = np.diff(seen) % 200
    assert (steps > 0).all()
    assert (steps < 100).all()


def test_a_slow_viewer_gets_the_newest_picture_and_delays_no_other(stream):
    """While one viewer takes nothing, showing goes on at once, others see every picture, and it continues with the
    newest."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    stream.show(noise)
    slow = Viewer(stream)
    for _ in range(100):  # far more than the connection holds
        stream.show(noise)
    stream.show(picture(77))
    watching = Viewer(stream)
    assert watching.takes() == 77
    taken = 0
    while True:
        size = _part(slow)
        taken += 1
        if size < 10_000:
            break
    assert taken < 40


def _part(viewer: Viewer) -> int:
    viewer.response.readline()
    size = int(viewer.response.readline().removeprefix(b"Content-Length: "))
    viewer.response.readline()
    viewer.response.read(size)
    viewer.response.readline()
    viewer.response.readline()
    return size


def test_a_single_picture_is_the_newest(stream):
    """/picture.jpg waits for the first picture, and is never from a cache."""
    answers = []
    asking = threading.Thread(target=lambda: answers.append(get(stream, "/picture.jpg?x=1").read()))
    asking.start()
    stream.show(picture(60))
    asking.join()
    assert level_of(answers[0]) == 60
    stream.show(picture(90))
    response = get(stream, "/picture.jpg")
    assert response.headers["Cache-Control"] == "no-store"
    assert level_of(response.read()) == 90


@pytest.mark.parametrize(("path", "kind"), [("/", "multipart/x-mixed-replace"), ("/picture.jpg", "image/jpeg")])
def test_a_player_may_ask_for_the_headers_first(stream, path, kind):
    """HEAD is answered as GET is, without pictures, and with the same refusals."""
    stream.show(picture(10))
    response = get(stream, path, "HEAD")
    assert (response.status, response.headers.get_content_type(), response.read()) == (200, kind, b"")
    assert get(stream, path, "HEAD", Host="dance.example").status == 403


def test_nothing_is_encoded_without_a_viewer(stream, monkeypatch):
    """Pictures cost nothing until a viewer asks, and are then encoded once for all."""
    encoded = []

    def counted(*given) -> EncodedPicture:
        encoded.append(given)
        return encode_picture(*given)

    monkeypatch.setattr("client.screens.picture_stream.encode_picture", counted)
    for level in range(50):
        stream.show(picture(level))
    assert not encoded
    for _ in range(3):
        get(stream, "/picture.jpg").read()
    assert len(encoded) == 1


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/", {"Host": "dance.example"}, 403),
        ("/", {"Host": "[half"}, 403),
        ("/other", {}, 404),
        ("/picture.jpg", {"Host": "localhost:1"}, 200),
    ],
)
def test_strange_requests_are_refused(stream, path, headers, status):
    """On loopback, a page of another site cannot read the pictures by having its name lead here."""
    stream.show(picture(10))
    response = get(stream, path, **headers)
    assert response.status == status
    if status == 200:
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_too_many_viewers_are_refused(stream):
    """The number of viewers is limited; a place becomes free when one leaves."""
    stream.show(picture(10))
    viewers = [Viewer(stream) for _ in range(16)]
    assert get(stream, "/").status == 503
    for viewer in viewers:
        assert viewer.takes() == 10
        viewer.response.close()


def test_closing_wakes_viewers_who_take_nothing(stream):
    """Neither a viewer that reads nothing, nor a connection without a request, holds up the end."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    stream.show(noise)
    _stuck = Viewer(stream)
    idle = socket.create_connection(("127.0.0.1", int(stream.address.rpartition(":")[2])), timeout=30)
    assert get(stream, "/picture.jpg").status == 200  # connections are accepted in order, so `idle` is too
    stream.close()
    assert idle.recv(1) == b""
    idle.close()
    assert not [thread for thread in threading.enumerate() if "process_request_thread" in thread.name]
    stream.close()


def test_closing_does_not_wait_for_viewers_who_come_too_late(monkeypatch):
    """A connection whose thread starts only after the others were ended is ended as well."""
    stream = PictureStream("127.0.0.1", 0)
    started, ended = threading.Event(), threading.Event()
    joins, close_server = stream.joins, stream._server.server_close

    def joins_late(connection: socket.socket) -> bool:
        started.set()
        assert ended.wait(30)
        return joins(connection)

    def others_ended() -> None:
        ended.set()
        close_server()

    monkeypatch.setattr(stream, "joins", joins_late)
    monkeypatch.setattr(stream._server, "server_close", others_ended)
    closing = threading.Thread(target=stream.close)
    with socket.create_connection(("127.0.0.1", int(stream.address.rpartition(":")[2])), timeout=30):
        assert started.wait(30)
        closing.start()
        closing.join(5)  # otherwise it waits for a request for ten seconds
        assert not closing.is_alive()


def test_a_port_that_is_taken_is_an_error(stream):
    """The error names the option and the address."""
    port = int(stream.address.rpartition(":")[2])
    with pytest.raises(CommandError, match=rf"--mjpeg: 127\.0\.0\.1:{port} cannot be opened"):
        PictureStream("127.0.0.1", port)


def test_loopback_is_the_default():
    """Only a host that is named makes the pictures visible to others."""
    assert parsed_screen_address(":8090") == parsed_screen_address("8090") == ("127.0.0.1", 8090)
    assert parsed_screen_address("0.0.0.0:80") == ("0.0.0.0", 80)
    assert parsed_screen_address("[::1]:80") == ("::1", 80)
    for wrong in ("", ":", "host", ":0", ":99999", ":x"):
        with pytest.raises(UsageError, match="expected :PORT"):
            parsed_screen_address(wrong)
