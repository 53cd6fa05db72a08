"""How stages become a chain: links between them, tasks that live and die together, failures behind finished frames."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Protocol

from orchestrator.pipeline.in_flight_frame import Passage
from orchestrator.pipeline.link import Link, run_together
from serving.errors import DanceError


class Inbox(Protocol):
    """Where a stage takes its frames from: a link, or the door."""

    async def take(self) -> tuple[Passage, float]:
        """The next frame, and for how many seconds it lay there. Raises LinkEnded, or what went wrong before."""
        ...


class Stage(Protocol):
    """One step of the chain. It sees every frame once, and lets those pass untouched that it has nothing to do with.

    A stage that can be reached again after a failure keeps what is needed for it (the frames that it was not answered
    for, its config, its state) and does so within `run`: its neighbours never notice.
    """

    name: ClassVar[str]

    async def run(self, inbox: Inbox, outbox: Link[Passage]) -> None:
        """Takes frames until the inbox ends, and puts each into `outbox`, in order. Raises StageError.

        What the inbox raises is raised again, after all earlier frames were put into `outbox`.
        """
        ...


class Door:
    """The first link of a session, and the bound on its frames in flight.

    In a LIVE session a full door gives up its oldest frame. Nothing behind it drops anything.
    """

    def __init__(self, *, depth: int, in_flight: int, live: bool) -> None:
        self.link: Link[Passage] = Link(depth, drop=Passage.give_up if live else None)
        self._places = asyncio.Semaphore(in_flight)

    async def take(self) -> tuple[Passage, float]:
        """The next frame, once fewer than `in_flight` are on their way; else as `Link.take`."""
        await self._places.acquire()
        try:
            passage, waited_seconds = await self.link.take()
        except BaseException:
            self._places.release()
            raise
        if passage.dropped:  # it passes everything by
            self._places.release()
        else:
            passage.in_window = True
        return passage, waited_seconds

    def answered(self, passage: Passage) -> None:
        """The frame has left the chain."""
        if passage.in_window:
            passage.in_window = False
            self._places.release()


async def play(
    door: Inbox, stages: Sequence[Stage], deliver: Callable[[Passage], Awaitable[None]], *, depth: int
) -> None:
    """Leads every frame from `door` through `stages` to `deliver`, in order, all stages at the same time.

    A stage that fails raises its StageError here, after the frames that were already past it have been delivered.
    """
    links: list[Link[Passage]] = [Link(depth) for _ in stages]
    inboxes: list[Inbox] = [door, *links]
    pumps = [_pump(stage, inbox, outbox) for stage, inbox, outbox in zip(stages, inboxes, links, strict=False)]
    await run_together(*pumps, _drain(links[-1], deliver))


async def _pump(stage: Stage, inbox: Inbox, outbox: Link[Passage]) -> None:
    try:
        await stage.run(inbox, outbox)
    except DanceError as error:
        outbox.fail(error)
    else:
        outbox.end()


async def _drain(link: Link[Passage], deliver: Callable[[Passage], Awaitable[None]]) -> None:
    async for passage, _ in link:
        await deliver(passage)
