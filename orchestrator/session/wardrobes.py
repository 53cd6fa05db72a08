"""The wardrobes that sessions draw from: each version of an actor is loaded once, and its sessions share it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple

from motion.frame import FrameSize
from motion.wardrobe.pieces import Wardrobe
from serving.actors.store import Actor
from serving.errors import ActorUnusable, NoConsent
from serving.observability import metrics

_Version = tuple[str, int, FrameSize | None]
"""An actor, its version, and the size of the pictures; None for the actor's own."""


class _Loaded(NamedTuple):
    wardrobe: Wardrobe
    bytes: int


@dataclass(slots=True)
class _Shelf:
    """One version's wardrobe, for pictures of one size. users: how many sessions draw from it, or wait for it."""

    actor: Actor
    loading: asyncio.Future[_Loaded]
    users: int = 0

    @property
    def failed(self) -> bool:
        """Whether the wardrobe cannot be read. Looks at the error, because asyncio logs those that are never seen."""
        return self.loading.done() and (self.loading.cancelled() or self.loading.exception() is not None)

    @property
    def bytes(self) -> int:
        """The memory of the wardrobe; 0 until it is loaded."""
        return self.loading.result().bytes if self.loading.done() and not self.failed else 0


class Wardrobes:
    """Lends wardrobes to sessions. For one event loop.

    A wardrobe in use stays in memory. One that no session uses waits there for the next session: within `idle_bytes`
    for all of these together, and until a session begins with another version of its actor. The least recently used
    goes first.

    threads: where wardrobes are read.
    """

    def __init__(self, threads: Executor, *, idle_bytes: int) -> None:
        self._threads = threads
        self._idle_bytes = idle_bytes
        self._shelves: dict[_Version, _Shelf] = {}
        """The least recently used come first."""

    async def borrow(self, actor: Actor, size: FrameSize | None = None) -> Wardrobe:
        """Return the wardrobe of an actor that has one. Every success needs a `give_back`. Raises ActorUnusable.

        size: of the pictures, a smaller one of `serving.actors.sizes.picture_sizes`; None for the actor's own.
        """
        version = (actor.id, actor.version, size)
        shelf = self._shelves.get(version)
        if shelf is None:
            loading = asyncio.get_running_loop().run_in_executor(self._threads, _load, actor, size)
            loading.add_done_callback(lambda _: self._tidy())
            shelf = self._shelves[version] = _Shelf(actor, loading)
        shelf.users += 1
        try:
            # A session that is cancelled must not cancel the loading for the others.
            loaded = await asyncio.shield(shelf.loading)
        except BaseException:
            self.give_back(actor, size)
            raise
        for idle in self._idle():
            if idle[0] == actor.id and idle[1] != actor.version:  # a session began with another version of it
                del self._shelves[idle]
        self._measure()
        return loaded.wardrobe

    def give_back(self, actor: Actor, size: FrameSize | None = None) -> None:
        """Note that a session no longer uses the wardrobe that it borrowed."""
        version = (actor.id, actor.version, size)
        shelf = self._shelves.pop(version)
        shelf.users -= 1
        self._shelves[version] = shelf  # as the most recently used
        self._tidy()

    async def drop_without_consent(self, check: Callable[[Actor], None]) -> None:
        """Drop those that no session uses and whose actor may no longer be danced.

        check: raises NoConsent for such an actor; called in the threads. Other errors of the actor change nothing.
        """
        loop = asyncio.get_running_loop()
        for version in self._idle():
            shelf = self._shelves.get(version)
            if shelf is None:
                continue
            try:
                await loop.run_in_executor(self._threads, check, shelf.actor)
            except NoConsent:
                if version in self._idle():
                    del self._shelves[version]
            except ActorUnusable:
                pass  # sessions are refused, and say why
        self._measure()

    def _tidy(self) -> None:
        """Drop what no session uses: unreadable wardrobes, and the least recently used ones beyond the limit."""
        idle = self._idle()
        for version in [version for version in idle if self._shelves[version].failed]:
            idle.remove(version)
            del self._shelves[version]
        while sum(self._shelves[version].bytes for version in idle) > self._idle_bytes:
            del self._shelves[idle.pop(0)]
        self._measure()

    def _idle(self) -> list[_Version]:
        """Return the versions that no session uses, the least recently used first.

        One that is still being read is not idle: sessions that begin and end at once must not read it again and again.
        """
        return [version for version, shelf in self._shelves.items() if not shelf.users and shelf.loading.done()]

    def _measure(self) -> None:
        metrics.WARDROBE_BYTES.set(sum(shelf.bytes for shelf in self._shelves.values()))


def _load(actor: Actor, size: FrameSize | None) -> _Loaded:
    wardrobe = actor.read_wardrobe()
    if size is not None:
        wardrobe = wardrobe.resized(size.width_px, size.height_px)
    # Measuring it prepares what the first drawing would otherwise have to wait for.
    return _Loaded(wardrobe, wardrobe.memory_bytes)
