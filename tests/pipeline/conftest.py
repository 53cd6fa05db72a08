"""An orchestrator with fake stages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from motion.wardrobe.pieces import Wardrobe
from tests.pipeline.chain import Stack, TakenIn, publish_actor, stack_of, two_stacks
from tests.pipeline.fake_stages import SIDE_PX, person
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned


@pytest.fixture
def taken_in(monkeypatch: pytest.MonkeyPatch) -> TakenIn:
    """Counts the frames that the orchestrator takes."""
    return TakenIn(monkeypatch)


@pytest.fixture
def settings(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The orchestrator's settings that a test asks for with `@pytest.mark.settings(name=value)`."""
    marker = request.node.get_closest_marker("settings")
    return {} if marker is None else marker.kwargs


@pytest.fixture
async def stack(tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[Stack]:
    """An orchestrator with the actors anna (with a face network) and ben (without)."""
    publish_actor(tmp_path, "anna")
    publish_actor(tmp_path, "ben", face=False)
    async with stack_of(tmp_path, **settings) as running:
        yield running


@pytest.fixture(scope="session")
def wardrobe() -> Wardrobe:
    """A wardrobe of eight key frames."""
    return tiny_wardrobe([with_arms_turned(person(), angle) for angle in np.linspace(0, 2.4, 8)], SIDE_PX)


@pytest.fixture
async def stacks(tmp_path: Path, wardrobe: Wardrobe, settings: dict[str, Any]) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two orchestrators with the same actors and key: cara and dora have a wardrobe, dora a face too, ben neither."""
    publish_actor(tmp_path / "actors", "cara", face=False, wardrobe=wardrobe)
    publish_actor(tmp_path / "actors", "dora", wardrobe=wardrobe)
    publish_actor(tmp_path / "actors", "ben", face=False)
    async with two_stacks(tmp_path / "actors", **settings) as stacks:
        yield stacks
