"""How stages become a pipeline: links between them, tasks that end together, failures after earlier frames."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import ClassVar, Protocol

from orchestrator.pipeline.in_flight_frame import InFlightFrame
from orchestrator.pipeline.link import Link, run_together
from serving.errors import DanceError, StageTimeout


class Inbox(Protocol):
    """The source of a stage's frames: a link, or the door."""

    async def take(self) -> tuple[InFlightFrame, float]:
        """Return the next frame and how many seconds it waited. Raises LinkEnded, or an earlier stage's failure."""
        ...


class Stage(Protocol):
    """One step of the pipeline. It sees every frame once and passes on unchanged those whose `no_picture` is set.

    It calls `frame.enter` before its work on a frame and `frame.leave` after it, which record the stage's times.
    A stage that can recover from a failure keeps what it needs for that (unanswered frames, its config, its state) and
    recovers within `run`: its neighbours never notice.
    """

    name: ClassVar[str]

    async def run(self, inbox: Inbox, outbox: Link[InFlightFrame]) -> None:
        """Take frames until the inbox ends, and put each into `outbox`, in order. Raises StageError.

        A failure of the inbox is raised again, after all earlier frames have been put into `outbox`.
        """
        ...


class Door:
    """The first link of a session, and the bound on its frames in flight.

    In a LIVE session a full door drops its oldest frame. No later link drops frames.
    """

    def __init__(self, *, depth: int, in_flight: int, live: bool) -> None:
        self.link: Link[InFlightFrame] = Link(depth, drop=InFlightFrame.give_up if live else None)
        self._places = asyncio.Semaphore(in_flight)

    async def take(self) -> tuple[InFlightFrame, float]:
        """Return the next frame as `Link.take` does, once fewer than `in_flight` are in flight."""
        await self._places.acquire()
        try:
            frame, waited_seconds = await self.link.take()
        except BaseException:
            self._places.release()
            raise
        if frame.dropped:  # no stage works on it
            self._places.release()
        else:
            frame.in_window = True
        return frame, waited_seconds

    def answered(self, frame: InFlightFrame) -> None:
        """Release the place of a frame that has left the pipeline."""
        if frame.in_window:
            frame.in_window = False
            self._places.release()


async def feed(
    door: Door,
    next_frame: Callable[[float], Awaitable[InFlightFrame | None]],
    idle_seconds: float,
    owes_answers: Callable[[], bool],
) -> None:
    """Put a client's frames into the door. An error of the client is delivered after its earlier frames.

    next_frame: waits for at most `idle_seconds`. It ends the door at the last frame, and returns None then.
    owes_answers: whether an answer is due that needs no further frame. Until it is sent, the client may be silent.
    """
    try:
        while True:
            try:
                frame = await next_frame(idle_seconds)
            except StageTimeout:
                if owes_answers():
                    continue
                raise
            if frame is None:
                return
            await door.link.put(frame)
    except DanceError as error:
        door.link.fail(error)


async def play(
    door: Inbox, stages: Sequence[Stage], deliver: Callable[[InFlightFrame], Awaitable[None]], *, depth: int
) -> None:
    """Move every frame from `door` through `stages` to `deliver`, in order, with all stages running at the same time.

    Raises the StageError of a stage that fails, after the frames already past that stage have been delivered.
    """
    links: list[Link[InFlightFrame]] = [Link(depth) for _ in stages]
    inboxes: list[Inbox] = [door, *links]
    pumps = [_pump(stage, inbox, outbox) for stage, inbox, outbox in zip(stages, inboxes, links, strict=False)]
    await run_together(*pumps, _deliver_all(links[-1], deliver))


async def _pump(stage: Stage, inbox: Inbox, outbox: Link[InFlightFrame]) -> None:
    try:
        await stage.run(inbox, outbox)
    except DanceError as error:
        outbox.fail(error)
    else:
        outbox.end()


async def _deliver_all(link: Link[InFlightFrame], deliver: Callable[[InFlightFrame], Awaitable[None]]) -> None:
    async for frame, _ in link:
        await deliver(frame)
