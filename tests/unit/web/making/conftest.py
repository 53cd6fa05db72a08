"""A gateway's makings with a trainer that tests play, asked as a browser would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import simplejpeg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from client.training.unattended import UnattendedTraining
from tests.unit.web.dances.conftest import PATIENCE_SECONDS, Answered, Browser, Clock
from web.access.refusals import Refused, refusal_response
from web.access.visitors import Visitors
from web.making.footage import Filming
from web.making.makings import Makings
from web.making.routes import routes
from web.making.store import Making, MakingStore
from web.making.trainers import OnLine, Trainer
from web.settings import WebSettings

CONSENT = {"name": "Anna K.", "typed": "I agree", "shown": "My pictures are kept with the actor."}


@dataclass
class Run:
    """One call of the trainer."""

    training: UnattendedTraining
    submission: str
    on_line: OnLine
    code: asyncio.Future[int]
    stopped: bool = False

    def says(self, *lines: str) -> None:
        for line in lines:
            self.on_line(line)

    def publishes(self, version: int) -> None:
        """Put a version into the store, as far as these tests look, and say so."""
        folder = self.training.actors / self.training.actor / str(version)
        folder.mkdir(parents=True)
        (folder / "actor.json").touch()
        self.says(f"published: {self.training.actor} version {version}")

    def ends(self, code: int) -> None:
        self.code.set_result(code)


@dataclass
class FakeTrainer:
    """Trains what it is asked to until the test ends it."""

    runs: asyncio.Queue[Run] = field(default_factory=asyncio.Queue)
    cancelled: list[str] = field(default_factory=list)
    running: int = 0

    async def run(self, training: UnattendedTraining, submission: str, on_line: OnLine) -> int:
        self.running += 1
        assert self.running == 1, "one training at a time"
        run = Run(training, submission, on_line, asyncio.get_running_loop().create_future())
        self.runs.put_nowait(run)
        try:
            return await run.code
        except asyncio.CancelledError:
            run.stopped = True
            raise
        finally:
            self.running -= 1

    async def cancel(self, training: UnattendedTraining, submission: str) -> None:
        self.cancelled.append(submission)

    async def next(self) -> Run:
        """Wait for the next training."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.runs.get()


class Changes:
    """Wakes who waits whenever a record changes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._changed = asyncio.Event()
        change = MakingStore.change

        def changed(*arguments: Any, **fields: Any) -> None:
            change(*arguments, **fields)
            told, self._changed = self._changed, asyncio.Event()
            told.set()

        monkeypatch.setattr(MakingStore, "change", changed)

    async def next(self) -> None:
        await self._changed.wait()


@dataclass
class House:
    """A running gateway's makings."""

    makings: Makings
    app: Starlette
    visitors: Visitors
    trainer: FakeTrainer
    clock: Clock
    changes: Changes

    async def maker(self, address: str = "127.0.0.1") -> Maker:
        return Maker(await Browser(self.app, address).visit(), self)

    async def until(
        self, making_id: str, holds: Callable[[Any], bool], patience_seconds: float = PATIENCE_SECONDS
    ) -> None:
        """Wait until the making's record is as wanted."""
        making = self.making(making_id)
        async with asyncio.timeout(patience_seconds):
            while not holds(making.record):
                await self.changes.next()

    async def reaches(self, making_id: str, state: str) -> None:
        """Wait until the making is in a state."""
        await self.until(making_id, lambda record: record.state == state)

    def making(self, making_id: str) -> Making:
        return next(making for making in self.makings.store.all() if making.record.id == making_id)


@dataclass
class Maker:
    """A visitor who makes an actor."""

    browser: Browser
    house: House

    async def ask(self, method: str, path: str = "", body: Any = None) -> Answered:
        return await self.browser.ask(method, f"/api/makings{path}", body)

    async def begins(self, name: str = "Anna", **more: Any) -> str:
        """Begin a making, and return its id."""
        made = await self.ask("POST", body={"name": name, **more})
        assert made.status == 201, made.body
        return str(made.json["id"])

    async def shown(self, making_id: str) -> Any:
        return (await self.ask("GET", f"/{making_id}")).json

    async def filming(self, making_id: str) -> Filming:
        """Return what a live session of this visitor would write to."""
        making = self.house.making(making_id)
        visitor = type("Visitor", (), {"id": making.record.visitor_id})
        return await self.house.makings.filming(visitor, making_id)  # type: ignore[arg-type]

    async def films(self, making_id: str, frames: int = 30) -> None:
        """Film for two seconds at 15 frames a second."""
        with await self.filming(making_id) as filming:
            for index in range(frames):
                filming.append(jpeg(index), 100 + index / 15, "front")

    async def agrees(self, making_id: str) -> None:
        agreed = await self.ask("POST", f"/{making_id}/consent", CONSENT)
        assert agreed.status == 200, agreed.body

    async def starts(self, name: str = "Anna", **more: Any) -> str:
        """Begin, film, agree and start; returns the making's id."""
        making_id = await self.begins(name, **more)
        await self.films(making_id)
        await self.agrees(making_id)
        started = await self.ask("POST", f"/{making_id}/start")
        assert started.status == 200, started.body
        return making_id


@dataclass
class Build:
    """Starts gateways on one folder."""

    folder: Path
    changes: Changes
    clock: Clock = field(default_factory=Clock)

    @asynccontextmanager
    async def house(self, real_trainer: Trainer | None = None, **settings: Any) -> AsyncIterator[House]:
        chosen = WebSettings(data_folder=self.folder, making_actors=self.folder / "actors", disk_kept_bytes=0)
        chosen = replace(chosen, **settings)
        visitors = Visitors(needs_token=False)
        trainer = FakeTrainer()

        async def pause(seconds: float) -> None:
            if seconds >= 60:  # the expiry is called by the tests that are about it
                await asyncio.Event().wait()

        makings = Makings(MakingStore(chosen, self.clock), real_trainer or trainer, pause)
        async with makings:
            yield House(makings, _application(makings, visitors), visitors, trainer, self.clock, self.changes)


def _application(makings: Makings, visitors: Visitors) -> Starlette:
    async def visit(request: Request) -> Response:
        response = Response()
        visitors.arrive(request, "", response)
        return response

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return refusal_response(error)

    visits = Route("/api/visit", visit, methods=["POST"])
    return Starlette(routes=[visits, *routes(makings, visitors)], exception_handlers={Refused: refuse})


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    return Build(tmp_path, Changes(monkeypatch))


@pytest.fixture
async def house(build: Build) -> AsyncIterator[House]:
    async with build.house() as running:
        yield running


def jpeg(level: int, width_px: int = 64, height_px: int = 48) -> bytes:
    """A grey picture."""
    return bytes(simplejpeg.encode_jpeg(np.full((height_px, width_px, 3), level, np.uint8), quality=90))
