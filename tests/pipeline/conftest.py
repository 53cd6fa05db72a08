"""An orchestrator with fake stages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pipeline.chain import Stack, TakenIn, publish_actor, stack_of


@pytest.fixture
def taken_in(monkeypatch: pytest.MonkeyPatch) -> TakenIn:
    """Counts the frames that the orchestrator takes."""
    return TakenIn(monkeypatch)


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An orchestrator with the actors anna (with a face network) and ben (without)."""
    publish_actor(tmp_path, "anna")
    publish_actor(tmp_path, "ben", face=False)
    async with stack_of(tmp_path) as running:
        yield running
