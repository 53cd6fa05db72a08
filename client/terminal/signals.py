"""Run a command on an event loop, and end it in good order on Ctrl-C and SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from client.errors import Interrupted

Result = TypeVar("Result")


class Interrupts:
    """Handles Ctrl-C (SIGINT) and SIGTERM for the running command: they cancel it, unless it sets `gently`.

    gently: called on the first signal instead of the cancellation; the second signal cancels.
    """

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.caught = 0
        self.gently: Callable[[], None] | None = None
        self._task = task

    async def first(self) -> None:
        """Wait for the first signal, and then let the command end by itself."""
        asked = asyncio.Event()
        self.gently = asked.set
        await asked.wait()

    def on_signal(self) -> None:
        """Handle one signal."""
        self.caught += 1
        if self.caught == 1 and self.gently is not None:
            self.gently()
        else:
            self._task.cancel()


def run(main: Callable[[Interrupts], Coroutine[Any, Any, Result]]) -> Result:
    """Run `main`, and return its result. Raises Interrupted if a signal cancelled it, after its clean-up has run."""

    async def guarded() -> Result:
        task = asyncio.current_task()
        assert task is not None
        interrupts = Interrupts(task)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, interrupts.on_signal)
        try:
            return await main(interrupts)
        except asyncio.CancelledError:
            if interrupts.caught:
                raise Interrupted("interrupted") from None
            raise
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    return asyncio.run(guarded())
