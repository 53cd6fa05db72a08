"""How the orchestrator returns unused memory."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator import servicer
from tests.pipeline.chain import Dancing, Stack, configured, dance, raw_frame
from tests.pipeline.fake_stages import PATIENCE_SECONDS


async def test_memory_is_given_back_when_the_last_session_has_ended(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is not returned while another session is open: its next frame needs the same pages again."""
    loop, given_back = asyncio.get_running_loop(), asyncio.Event()

    def give_back() -> bool:
        loop.call_soon_threadsafe(given_back.set)
        return True

    monkeypatch.setattr(servicer, "give_freed_back", give_back)
    monkeypatch.setattr(servicer, "_IDLE_SECONDS", 0.0)
    still_open = Dancing(stack.stub)
    await still_open.send(configured())
    await still_open.accepted()
    await dance(stack.stub, configured(), raw_frame(0))
    assert not given_back.is_set()
    await still_open.rest()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await given_back.wait()
