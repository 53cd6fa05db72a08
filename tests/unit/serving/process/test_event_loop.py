"""Which event loop the busiest processes run on."""

from __future__ import annotations

import asyncio
import sys

import pytest

from serving.process.event_loop import fast_event_loop


def test_the_fast_loop_is_uvloops_where_it_is_installed():
    """Where uvloop is installed, coroutines run on its loop."""
    pytest.importorskip("uvloop")

    async def module_of_loop() -> str:
        return type(asyncio.get_running_loop()).__module__

    with asyncio.Runner(loop_factory=fast_event_loop()) as runner:
        assert runner.run(module_of_loop()).startswith("uvloop")


def test_without_uvloop_asyncios_own_loop_serves(monkeypatch: pytest.MonkeyPatch):
    """On a machine without uvloop there is no factory, which means asyncio's own loop."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert fast_event_loop() is None
