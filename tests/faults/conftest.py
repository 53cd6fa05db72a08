"""An orchestrator with fake stages, for faults that need no processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.pipeline.chain import Stack, publish_actor, stack_of


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    """An orchestrator with the actor ben, which has no face network."""
    publish_actor(tmp_path, "ben", face=False)
    async with stack_of(tmp_path) as running:
        yield running
