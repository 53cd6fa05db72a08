"""The queue of dances: a few at a time, fair between users, and going on after a restart."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from serving.process.background import in_background
from web.dances.dance import Dance, State
from web.dances.metrics import WAITING
from web.dances.store import DanceStore

_LOOK_SECONDS: Final = 5.0
"""How often to look for a visitor who signed in again; everything else wakes the queue at once."""
_log: Final = logging.getLogger(__name__)


class DanceQueue:
    """Works on the store's waiting dances, `at_once` at a time.

    work: does all that is left to do for a dance, and sets its states; an error that it raises is logged, and ends the
    dance as failed. may_begin: whether a dance can begin now; others are passed over, since their visitor has to sign
    in. Users take turns: the next dance is of the user whose last one began longest ago.
    """

    def __init__(
        self,
        store: DanceStore,
        work: Callable[[Dance], Awaitable[None]],
        *,
        at_once: int,
        may_begin: Callable[[Dance], bool] = lambda dance: True,
    ) -> None:
        self._store = store
        self._work = work
        self._at_once = at_once
        self._may_begin = may_begin
        self._running: dict[str, asyncio.Task[None]] = {}
        self._turns: dict[str, int] = {}
        self._turn = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work while the context lasts. On leaving, what runs is stopped, and goes on at the next start."""
        async with in_background(self._run(), "dance queue"):
            try:
                yield
            finally:
                for task in self._running.values():
                    task.cancel()
                await asyncio.gather(*self._running.values(), return_exceptions=True)

    def wake(self) -> None:
        """Look at the dances again: one was added, or a visitor signed in."""
        self._changed.set()

    def waiting(self) -> list[Dance]:
        """Return the waiting dances in the order in which they will begin."""
        waiting = [dance for dance in self._store.all() if self._waits(dance)]
        turns, ordered = dict(self._turns), list[Dance]()
        while waiting:
            following = min(waiting, key=lambda dance: turns.get(dance.record.limits_key, -1))
            waiting.remove(following)
            ordered.append(following)
            turns[following.record.limits_key] = self._turn + len(ordered)
        return ordered

    def place(self, dance: Dance) -> int | None:
        """Return how many dances begin before this one; None if it does not wait for its turn."""
        if not self._waits(dance):
            return None
        return self.waiting().index(dance)

    async def cancel(self, dance: Dance) -> None:
        """Stop the work on a dance, and wait until nothing uses its files any more."""
        task = self._running.get(dance.record.id)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _waits(self, dance: Dance) -> bool:
        return dance.record.state is State.WAITING and dance.record.id not in self._running

    async def _run(self) -> None:
        while True:
            self._changed.clear()
            try:
                self._begin(self.waiting())
            except Exception:  # of any kind, such as a disk's: the next look may succeed
                _log.exception("the queue of dances stood still")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()

    def _begin(self, waiting: Iterable[Dance]) -> None:
        for dance in waiting:
            if len(self._running) >= self._at_once:
                break
            if not self._may_begin(dance):
                continue
            self._turn += 1
            self._turns[dance.record.limits_key] = self._turn
            task = asyncio.create_task(self._work_on(dance), name=f"dance {dance.record.id}")
            self._running[dance.record.id] = task
        WAITING.set(len(self.waiting()))
        known = {dance.record.limits_key for dance in self._store.all()}
        self._turns = {key: turn for key, turn in self._turns.items() if key in known}

    async def _work_on(self, dance: Dance) -> None:
        try:
            await self._work(dance)
        except Exception:  # of any kind: one dance must not end the queue
            _log.exception("a dance failed")
            await self._store.end(
                dance, State.FAILED, "internal", "It failed for a reason of the server's: try it again."
            )
        finally:
            del self._running[dance.record.id]
            self.wake()
