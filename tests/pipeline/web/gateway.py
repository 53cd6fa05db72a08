"""A gateway in front of a test's orchestrator, and a visitor who speaks to it as a page does."""

from __future__ import annotations

import json
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.cookies import Morsel
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from motion.pose import Pose
from serving.rpc.server import running
from tests.pipeline.fake_stages import PATIENCE_SECONDS, SIDE_PX, person
from web.gateway import Gateway
from web.live.messages import pose_bytes
from web.settings import WebSettings

_HEAD = struct.Struct("<BBHHHIId")


@asynccontextmanager
async def gateway_of(server: str, **settings: Any) -> AsyncIterator[str]:
    """Run a gateway in front of `server` while the context lasts; yields its address, such as `http://host:port`."""
    with TemporaryDirectory(prefix="dance-web-") as folder:
        chosen = WebSettings(**{"server": server, "drain_seconds": 1.0, "data_folder": Path(folder), **settings})
        async with running(Gateway(chosen), chosen) as gateway:
            scheme = "http" if chosen.tls() is None else "https"
            yield f"{scheme}://127.0.0.1:{gateway.port}"


@dataclass
class Refusal(Exception):
    """What the gateway answered in place of what was asked for."""

    status: int
    code: str
    text: str = ""


@dataclass
class Answered:
    """One answer of a live session."""

    head: dict[str, Any]
    picture: bytes
    pose: bytes


@dataclass
class Live:
    """The WebSocket of a live session, after it was accepted."""

    socket: aiohttp.ClientWebSocketResponse
    accepted: dict[str, Any] = field(default_factory=dict)

    async def send(self, sequence: int, pose: Pose | None = None, *, message: bytes | None = None) -> None:
        """Send a frame of `SIDE_PX` with a pose, by default that of a whole person."""
        given = pose_message(sequence, pose or person()) if message is None else message
        await self.socket.send_bytes(given)

    async def said(self) -> Any:
        """Wait for the next message: an `Answered`, a dictionary, or a code with which the gateway closes."""
        message = await self.socket.receive(PATIENCE_SECONDS)
        if message.type is aiohttp.WSMsgType.BINARY:
            (length,) = struct.unpack_from("<I", message.data)
            head = json.loads(message.data[4 : 4 + length])
            picture_end = 4 + length + head["picture"]
            return Answered(head, message.data[4 + length : picture_end], message.data[picture_end:])
        if message.type is aiohttp.WSMsgType.TEXT:
            return json.loads(message.data)
        return self.socket.close_code

    async def ends(self) -> list[Any]:
        """Wait until the gateway closes; returns what it said until then, its close code last."""
        said: list[Any] = []
        while not said or not isinstance(said[-1], int):
            said.append(await self.said())
        return said


def pose_message(sequence: int, pose: Pose | None, *, side_px: int = SIDE_PX) -> bytes:
    """A frame as a page sends it: its pose, or the fact that it shows no person."""
    head = _HEAD.pack(3 if pose is None else 1, 0, side_px, side_px, 0, sequence, 0, sequence / 25)
    return head + (b"" if pose is None else pose_bytes(pose))


class Visitor:
    """A browser, with its cookie.

    origin: of the page that asks; None for the gateway's own. tls: whom it trusts, for an address with https.
    """

    def __init__(self, address: str, origin: str | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.address = address
        self.headers = {"Origin": address if origin is None else origin}
        connector = aiohttp.TCPConnector(ssl=tls or True)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=connector)

    @property
    def cookie(self) -> Morsel[str]:
        """The visit's cookie, as the gateway set it."""
        (cookie,) = self._session.cookie_jar
        return cookie

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._session.close()

    async def ask(self, method: str, path: str, **options: Any) -> Any:
        """Send a request; returns the answer's JSON or bytes. Raises Refusal."""
        headers = {**self.headers, **options.pop("headers", {})}
        async with self._session.request(method, self.address + path, headers=headers, **options) as response:
            is_json = response.content_type == "application/json"
            answer: Any = await response.json() if is_json else await response.read()
            if response.status >= 400:
                error = answer["error"] if is_json else {"code": "", "text": ""}
                raise Refusal(response.status, error["code"], error["text"])
            return answer

    async def arrive(self, token: str = "") -> Any:
        """Begin the visit."""
        return await self.ask("POST", "/api/visit", headers={"Authorization": f"Bearer {token}"} if token else {})

    async def ticket(self) -> str:
        """Return a new ticket."""
        return str((await self.ask("POST", "/api/ticket"))["ticket"])

    @asynccontextmanager
    async def live(self, actor: str = "anna", *, accepted: bool = True, **config: Any) -> AsyncIterator[Live]:
        """Open a live session; by default one that sends poses, and wait until it is accepted."""
        config = {"actor": actor, "sends": "poses", **config}
        config.setdefault("ticket", await self.ticket() if accepted else "none")
        async with self._session.ws_connect(
            self.address.replace("http", "ws") + "/api/live", headers=self.headers, max_msg_size=0
        ) as socket:
            await socket.send_json(config)
            live = Live(socket)
            if accepted:
                live.accepted = (await live.said())["accepted"]
            yield live
