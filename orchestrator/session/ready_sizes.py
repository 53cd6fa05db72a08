"""Makes an actor's sizes ready to be drawn: the wardrobe at that size, and the network that Triton compiles for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from motion.frame import FrameSize
from motion.wardrobe.pieces import Wardrobe
from orchestrator.session.wardrobes import Wardrobes
from serving.actors.sizes import own_size
from serving.actors.store import Actor


class ReadySizes:
    """The sizes at which one session can draw. `close` gives back what it borrowed.

    warm_up: makes Triton draw a picture of a size. It returns when Triton can do so without a delay.
    """

    def __init__(self, actor: Actor, wardrobes: Wardrobes, warm_up: Callable[[FrameSize], Awaitable[None]]) -> None:
        self._actor = actor
        self._lender = wardrobes
        self._warm_up = warm_up
        self._wardrobes: dict[FrameSize, Wardrobe] = {}

    @property
    def wardrobes(self) -> Mapping[FrameSize, Wardrobe]:
        """The wardrobes by size; a size that gets ready later appears here. Empty for actors without a wardrobe."""
        return self._wardrobes

    async def borrow(self, size: FrameSize) -> None:
        """Borrow the wardrobe for a size, if the actor has one. Raises ActorUnusable for a damaged one."""
        if self._actor.wardrobe is not None and size not in self._wardrobes:
            self._wardrobes[size] = await self._lender.borrow(self._actor, self._smaller(size))

    async def prepare(self, size: FrameSize) -> None:
        """Make a size ready; the actor is loaded. Raises ActorUnusable for a damaged wardrobe, and StageError."""
        await self.borrow(size)
        if self._smaller(size) is not None:  # the agent has seen it draw its own size
            await self._warm_up(size)

    def close(self) -> None:
        """Give the wardrobes back."""
        while self._wardrobes:
            size, _ = self._wardrobes.popitem()
            self._lender.give_back(self._actor, self._smaller(size))

    def _smaller(self, size: FrameSize) -> FrameSize | None:
        return None if size == own_size(self._actor) else size
