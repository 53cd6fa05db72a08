"""A gateway that checks files, in front of an orchestrator with fake stages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from provenance.watermark.server_key import key_id
from serving.actors.actor import Actor
from serving.actors.consent import ConsentRecord, Use
from tests.pipeline.chain import Stack, publish_actor, stack_of
from tests.unit.web.dances.conftest import Browser
from web.access.limits import Limits
from web.access.orchestrator import Orchestrator
from web.access.tickets import Tickets
from web.access.visitors import Visitor, Visitors
from web.application import Parts, application
from web.live.session import LiveSessions, Recorder
from web.settings import WebSettings
from web.verifying.routes import routes
from web.verifying.verifier import Verifier

KEYS = (b"k" * 32, b"f" * 32)
"""The orchestrator's present key, and a former one."""
KEY_IDS = tuple(map(key_id, KEYS))


def _no_recorder(visitor: Visitor, recording_id: str) -> Recorder:
    raise AssertionError("nothing is recorded here")


@dataclass
class Gateway:
    """A running gateway. anna: the actor that the orchestrator has."""

    verifier: Verifier
    app: ASGIApp
    anna: Actor

    async def browser(self, address: str = "127.0.0.1") -> Browser:
        return await Browser(self.app, address).visit()

    @property
    def kept(self) -> list[str]:
        """What lies in the folder of uploads, without its lock."""
        return [path.name for path in self.verifier.folder.iterdir() if not path.name.startswith(".")]


@dataclass
class Build:
    """Starts gateways on one data folder."""

    folder: Path
    anna: Actor

    @asynccontextmanager
    async def gateway(self, server: str, **settings: Any) -> AsyncIterator[Gateway]:
        chosen = replace(WebSettings(server=server, data_folder=self.folder, disk_kept_bytes=0), **settings)
        orchestrator, visitors = Orchestrator(chosen.access()), Visitors(needs_token=chosen.sign_in)
        verifier, tickets = Verifier(chosen, orchestrator), Tickets(30.0)
        limits = Limits("live sessions", most=1, most_per_user=1)
        parts = Parts(
            orchestrator=orchestrator,
            visitors=visitors,
            tickets=tickets,
            live=LiveSessions(orchestrator, tickets, limits, _no_recorder),
            config=dict,
            serves=lambda: True,
            routes=routes(verifier, visitors),
        )
        with verifier.running():
            yield Gateway(verifier, application(parts), self.anna)


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    (tmp_path / "page").mkdir()
    monkeypatch.setattr("web.application.PAGE", tmp_path / "page")
    consent = ConsentRecord(words="Yes, Anna", uses=(Use.PUBLIC,))
    return Build(tmp_path / "web", publish_actor(tmp_path / "actors", "anna", consent=consent))


@pytest.fixture
async def stack(tmp_path: Path, build: Build) -> AsyncIterator[Stack]:
    keys = tmp_path / "keys"
    keys.write_text("".join(f"{key.hex()}\n" for key in KEYS))
    async with stack_of(tmp_path / "actors", watermark_key_file=keys) as running:
        yield running


@pytest.fixture
async def gateway(build: Build, stack: Stack) -> AsyncIterator[Gateway]:
    async with build.gateway(stack.address) as running:
        yield running
