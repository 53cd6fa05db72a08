"""The shown picture over HTTP: as a stream of JPEGs that players, browsers and OBS read, and as a single one."""

from __future__ import annotations

import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET6, SHUT_RDWR, SO_SNDBUF, SOL_SOCKET, socket
from socketserver import TCPServer
from typing import Any, Final
from urllib.parse import urlsplit

from client.errors import CommandError, UsageError
from motion.frame import Picture, PictureEncoding
from serving.pictures.codec import encode_picture
from serving.transport.tls import is_loopback

STREAM_PATH: Final = "/stream.mjpg"
PICTURE_PATH: Final = "/picture.jpg"
_LOOPBACK: Final = "127.0.0.1"
_JPEG_QUALITY: Final = 90
_BOUNDARY: Final = "picture"
_MOST_VIEWERS: Final = 16
_FIRST_PICTURE_SECONDS: Final = 10.0
_STUCK_SECONDS: Final = 10.0
"""A viewer that takes nothing for this long is disconnected."""
_PARTING_SECONDS: Final = 0.5
"""How long viewers have to take the end of the stream."""
_SEND_BUFFER_BYTES: Final = 128 * 1024
"""About two pictures of 512x512. With the system's megabytes, a slow viewer would see old ones."""


def parsed_screen_address(text: str) -> tuple[str, int]:
    """Parse ":8090", "8090" or "HOST:8090"; the host is loopback if it is not given. Raises UsageError."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) <= 65_535):
        raise UsageError(f"--mjpeg: expected :PORT or HOST:PORT, for example :8090, got {text!r}")
    return host.strip("[]") or _LOOPBACK, int(port)


class PictureStream:
    """A small HTTP server for one session's pictures, which viewers join and leave at any time.

    `/stream.mjpg`, and `/` as well, is multipart/x-mixed-replace; `/picture.jpg` is the newest picture. Every viewer
    has a thread, gets the newest picture whenever it has taken the last one, and never delays `show`. A picture is
    encoded once, and only for viewers. On loopback, requests from pages of other sites are refused.

    port: 0 for a free one; the attribute is the real one. address: of the page. is_everywhere: whether it is at every
    address of this machine; then `address` is the one for this machine. is_public: whether others may reach it.
    Raises CommandError if the port cannot be opened.
    """

    def __init__(self, host: str, port: int) -> None:
        self._changed = threading.Condition()
        self._picture: Picture | None = None
        self._jpeg = b""
        self._number = 0  # of the newest picture, from 1
        self._encoded = 0
        self._encoding = threading.Lock()
        self._closed = False
        self._connections: set[socket] = set()
        self.is_public = not is_loopback(host)
        try:
            self._server = _Server((host, port), self)
        except OSError as error:
            raise CommandError(f"--mjpeg: {host}:{port} cannot be opened: {error.strerror or error}") from error
        self.port = int(self._server.server_address[1])
        self.is_everywhere = ip_address(str(self._server.server_address[0])).is_unspecified
        # A browser cannot open the address that stands for all of them.
        reached = host if not self.is_everywhere else "::1" if ":" in host else _LOOPBACK
        self.address = f"http://{f'[{reached}]' if ':' in reached else reached}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="mjpeg", daemon=True)
        self._thread.start()

    def show(self, picture: Picture) -> bool:
        """See `Screen.show`."""
        with self._changed:
            self._picture = picture
            self._number += 1
            self._changed.notify_all()
        return True

    def close(self) -> None:
        """End every viewer's stream and the server; a second call does nothing."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._thread.join()
        with self._changed:
            self._changed.wait_for(lambda: not self._connections, _PARTING_SECONDS)
            for connection in self._connections:
                _end(connection)
        self._server.server_close()  # waits for the threads

    def newest(self, after: int, seconds: float | None = None) -> tuple[int, bytes] | None:
        """Wait for a picture newer than number `after`. Returns its number and JPEG.

        None if none comes before the stream is closed or `seconds` have passed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._number > after, seconds)
            if self._number <= after:
                return None
        with self._encoding:
            with self._changed:
                number, picture = self._number, self._picture
            if number != self._encoded:
                assert picture is not None
                self._jpeg = encode_picture(picture, PictureEncoding.JPEG, _JPEG_QUALITY).data
                self._encoded = number
            return number, self._jpeg

    def joins(self, connection: socket) -> bool:
        """Note a connection; False if there are too many. One that comes after `close` is ended."""
        with self._changed:
            self._connections.add(connection)
            if self._closed:
                _end(connection)
            return len(self._connections) <= _MOST_VIEWERS

    def leaves(self, connection: socket) -> None:
        """Forget a connection that has ended."""
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def accepts_host(self, header: str) -> bool:
        """Whether a request's Host names this server. A page of another site could have its name lead to loopback."""
        if self.is_public:
            return True
        try:
            host = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        return is_loopback(host)


def _end(connection: socket) -> None:
    """End a connection, which wakes a thread that waits for its viewer."""
    with suppress(OSError):
        connection.shutdown(SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    """Serves `stream`; its threads end when it is closed."""

    daemon_threads = False

    def __init__(self, address: tuple[str, int], stream: PictureStream) -> None:
        self.stream = stream
        if ":" in address[0]:
            self.address_family = AF_INET6
        super().__init__(address, _Viewer)

    def server_bind(self) -> None:
        """Bind without asking for the host's full name, which the base class does and which may query a name server."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that break: viewers leave as they like."""


class _Viewer(BaseHTTPRequestHandler):
    """One connection with one request."""

    server: _Server
    connection: socket
    timeout = _STUCK_SECONDS
    server_version, sys_version = "dance", ""

    def setup(self) -> None:
        """Limit what waits in the connection."""
        super().setup()
        self.connection.setsockopt(SOL_SOCKET, SO_SNDBUF, _SEND_BUFFER_BYTES)
        self._has_place = self.server.stream.joins(self.connection)

    def finish(self) -> None:
        """Forget the connection."""
        self.server.stream.leaves(self.connection)
        super().finish()

    def do_GET(self) -> None:
        """Answer with the stream or the picture."""
        stream, path = self.server.stream, urlsplit(self.path).path
        if not stream.accepts_host(self.headers.get("Host", "")):
            self.send_error(HTTPStatus.FORBIDDEN, explain="this address is only for programs on this machine")
        elif not self._has_place:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain="there are too many viewers")
        elif path == PICTURE_PATH:
            self._send_picture(stream)
        elif path in ("/", STREAM_PATH):
            self._send_stream(stream)
        else:
            self.send_error(HTTPStatus.NOT_FOUND, explain=f"there are {STREAM_PATH} and {PICTURE_PATH}")

    def do_HEAD(self) -> None:
        """Answer as `do_GET` does, without a body."""
        self.do_GET()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Log nothing: a terminal shows the session."""

    def _send_picture(self, stream: PictureStream) -> None:
        newest = stream.newest(0, _FIRST_PICTURE_SECONDS)
        if newest is None:
            self.send_error(HTTPStatus.SERVICE_UNAVAILABLE, explain="there is no picture yet")
            return
        self._begin("image/jpeg")
        self.send_header("Content-Length", str(len(newest[1])))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(newest[1])

    def _send_stream(self, stream: PictureStream) -> None:
        self._begin(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.end_headers()
        if self.command == "HEAD":
            return
        # Every part is followed by the next one's boundary at once: players show a picture when they see its end.
        self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
        number = 0
        while (newest := stream.newest(number)) is not None:
            number, jpeg = newest
            head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode())

    def _begin(self, content_type: str) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        # Pages of other sites cannot embed it.
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Content-Type-Options", "nosniff")
