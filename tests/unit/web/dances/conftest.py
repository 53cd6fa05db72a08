"""A gateway's dances in front of an orchestrator with fake stages, asked as a browser would."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
from starlette.types import ASGIApp

from tests.pipeline.chain import Stack, publish_actor, stack_of
from web.access.limits import Limits
from web.access.orchestrator import Orchestrator
from web.access.tickets import Tickets
from web.access.visitors import Visitors
from web.application import Parts, application
from web.dances.dance import Dance
from web.dances.keeper import DanceKeeper
from web.dances.progress import Progress
from web.dances.routes import routes
from web.dances.store import DanceStore
from web.live.session import LiveSessions
from web.settings import WebSettings

FRAMES = 30
RATE_HZ = 10
SIDE_PX = 64
PATIENCE_SECONDS = 60.0
"""A test that waits longer than this is stuck."""


@dataclass
class Clock:
    """A clock that only tests move."""

    now_s: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(frozen=True)
class Answered:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """Its status, and the code of its error."""
        return self.status, self.json["error"]["code"]


@dataclass
class Browser:
    """One visitor of the application. left: set when the visitor's connections are lost."""

    app: ASGIApp
    address: str = "127.0.0.1"
    cookie: str = ""
    origin: str = "http://localhost"
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Answered:
        """Send a request; a body that is not bytes is sent as JSON."""
        sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        fields = {"host": "localhost", "origin": self.origin, "cookie": self.cookie, **(headers or {})}
        parts = urlsplit(path)
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "query_string": parts.query.encode(),
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in fields.items() if value],
            "client": (self.address, 1),
            "server": ("page", 80),
        }
        received = iter([{"type": "http.request", "body": sent, "more_body": False}])
        status, answered, content = 0, dict[str, str](), list[bytes]()

        async def receive() -> dict[str, Any]:
            if (message := next(received, None)) is not None:
                return message
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered.update({name.decode(): value.decode() for name, value in message["headers"]})
            content.append(message.get("body", b""))

        await self.app(scope, receive, send)
        return Answered(status, answered, b"".join(content))

    async def visit(self, token: str = "") -> Browser:
        """Get a cookie."""
        headers = {"authorization": f"Bearer {token}"} if token else {}
        came = await self.ask("POST", "/api/visit", headers=headers)
        assert came.status == 200, came.body
        self.cookie = came.headers["set-cookie"].partition(";")[0]
        return self

    async def uploads(self, data: bytes, chunk_bytes: int = 2**20, **wish: Any) -> Any:
        """Begin a dance of a file, and upload it. Returns the dance."""
        made = await self.ask("POST", "/api/dances", {"actor": "ben", "source": {"bytes": len(data)}, **wish})
        assert made.status == 201, made.body
        dance = made.json
        for offset in range(0, len(data), chunk_bytes):
            path = f"/api/dances/{dance['id']}/upload?offset={offset}"
            taken = await self.ask("PUT", path, data[offset : offset + chunk_bytes])
            assert taken.status == 200, taken.body
            dance = taken.json
        return dance

    async def dance(self, dance_id: str) -> Any:
        """Return the dance as it is now."""
        return (await self.ask("GET", f"/api/dances/{dance_id}")).json


class Changes:
    """Wakes who waits whenever a dance's record changes, or a frame of it is shown, or it stands still."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._changed = asyncio.Event()
        self.ended = set[str]()
        """The dances whose end was completed by this process."""
        monkeypatch.setattr(DanceStore, "end", self._noting_end(DanceStore.end))
        for owner, name in ((DanceStore, "change"), (Progress, "show"), (Progress, "stand_still")):
            monkeypatch.setattr(owner, name, self._telling(getattr(owner, name)))

    async def next(self) -> None:
        """Wait for the next change."""
        await self._changed.wait()

    def _tell(self) -> None:
        told, self._changed = self._changed, asyncio.Event()
        told.set()

    def _telling(self, method: Callable[..., None]) -> Callable[..., None]:
        def changed(*arguments: Any, **more: Any) -> None:
            method(*arguments, **more)
            self._tell()

        return changed

    def _noting_end(self, end: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
        async def ended(store: DanceStore, dance: Dance, *arguments: Any) -> None:
            await end(store, dance, *arguments)
            self.ended.add(dance.record.id)
            self._tell()

        return ended


@dataclass
class House:
    """A running gateway's dances."""

    keeper: DanceKeeper
    app: ASGIApp
    clock: Clock
    changes: Changes

    async def browser(self, address: str = "127.0.0.1") -> Browser:
        return await Browser(self.app, address).visit()

    async def until(self, dance_id: str, holds: Callable[[Any], bool]) -> None:
        """Wait until the dance's record or progress is as wanted."""
        dance = next(dance for dance in self.keeper.store.all() if dance.record.id == dance_id)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds(dance):
                await self.changes.next()

    async def ended(self, dance_id: str) -> Any:
        """Wait until a dance has ended, and return its record."""
        await self.until(dance_id, lambda dance: dance.record.id in self.changes.ended)
        return next(dance.record for dance in self.keeper.store.all() if dance.record.id == dance_id)


@dataclass
class Build:
    """Starts gateways on one data folder."""

    folder: Path
    changes: Changes
    clock: Clock = field(default_factory=Clock)

    @asynccontextmanager
    async def house(self, stack: Stack, address: str = "", **settings: Any) -> AsyncIterator[House]:
        chosen = replace(
            WebSettings(server=address or stack.address, data_folder=self.folder, disk_kept_bytes=0), **settings
        )
        orchestrator, visitors = (
            Orchestrator(chosen.access(), chosen.stated_except()),
            Visitors(needs_token=chosen.sign_in),
        )
        keeper = DanceKeeper(chosen, orchestrator, visitors, clock=self.clock)
        tickets = Tickets(30.0)
        limits = Limits("live sessions", most=1, most_per_user=1)
        live = LiveSessions(orchestrator, tickets, limits, lambda who, which: keeper.recording_of(who.id, which))
        parts = Parts(
            orchestrator=orchestrator,
            visitors=visitors,
            tickets=tickets,
            live=live,
            config=dict,
            serves=lambda: True,
            routes=routes(keeper),
        )
        async with keeper.running():
            yield House(keeper, application(parts), self.clock, self.changes)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An orchestrator with the actor ben, whose pictures get brighter with every frame."""
    publish_actor(tmp_path / "actors", "ben", face=False)
    async with stack_of(tmp_path / "actors") as running:
        running.triton.paint = lambda model, label_map, previous: previous + np.uint8(3)
        yield running


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    (tmp_path / "page").mkdir()
    monkeypatch.setattr("web.application.PAGE", tmp_path / "page")
    return Build(tmp_path / "web", Changes(monkeypatch))


@pytest.fixture
async def house(build: Build, stack: Stack) -> AsyncIterator[House]:
    async with build.house(stack) as running:
        yield running


@pytest.fixture
def clip() -> bytes:
    """An MP4 of thirty frames in three seconds, with a tone."""
    return clip_of()


def clip_of(
    *, frames: int = FRAMES, sound: bool = True, side_px: int = SIDE_PX, container_format: str = "mp4"
) -> bytes:
    """A file with a video that is bright on the left."""
    file = io.BytesIO()
    with av.open(file, "w", format=container_format) as container:
        stream = container.add_stream("libx264", rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = side_px, side_px, "yuv420p"
        voice = container.add_stream("aac", rate=48_000) if sound else None
        if voice is not None:
            voice.layout = "mono"
        for index in range(frames):
            pixels = np.full((side_px, side_px, 3), 60, np.uint8)
            pixels[:, : side_px // 2] = 200  # bright on the left
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE_HZ)
            container.mux(stream.encode(frame))
            if voice is not None:
                container.mux(voice.encode(_tone(index)))
        container.mux(stream.encode(None))
        if voice is not None:
            container.mux(voice.encode(None))
    return file.getvalue()


def _tone(index: int) -> av.AudioFrame:
    count = 48_000 // RATE_HZ
    wave = (np.sin(np.arange(index * count, (index + 1) * count) * 0.06) * 8000).astype(np.int16)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, index * count, Fraction(1, 48_000)
    return frame


@dataclass(frozen=True)
class Played:
    """A decoded MP4. levels: the mean brightness of each frame. sound_seconds: how much sound it has."""

    times_s: list[float]
    levels: list[float]
    sound_seconds: float
    sound_starts_s: float


def played(mp4: bytes) -> Played:
    times_s, levels, sounds = [], list[float](), list[av.AudioFrame]()
    with av.open(io.BytesIO(mp4), "r") as container:
        for frame in container.decode(*container.streams.video, *container.streams.audio):
            assert isinstance(frame, av.AudioFrame | av.VideoFrame)
            if isinstance(frame, av.AudioFrame):
                sounds.append(frame)
            else:
                times_s.append(frame.time or 0.0)
                levels.append(float(frame.to_ndarray(format="rgb24").mean()))
    sound_seconds = sum(sound.samples / sound.sample_rate for sound in sounds)
    return Played(times_s, levels, sound_seconds, (sounds[0].time or 0.0) if sounds else -1.0)
