"""Filming an actor's footage: a page's frames and the poses that it found in them, kept for a training.

The page's first message is `{"ticket": "…", "film": {"making": ID}}`, answered by `{"filming": {…}}`. Then it sends
pictures (kind 2 of `web.live.messages`), poses of some of them (kinds 1 and 3), and `{"step": NAME}` before the frames
of a step. Every pose is answered by `{"filmed": {"views", "frames", "seconds", "end"}}`: for how long each view was
seen, and how much is kept; `end` says why no more is kept. "end" ends it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol

from starlette.websockets import WebSocket

from client.connection.types import PosedFrame
from motion.frame import FrameSize
from motion.pose import Pose
from web.access.refusals import Refused
from web.access.visitors import Visitor
from web.live.messages import frame_from, said_in

_SILENT_SECONDS: Final = 60.0


class Filming(AbstractContextManager["Filming"], Protocol):
    """Keeps frames of a camera; see `web.making.footage`."""

    @property
    def kept(self) -> dict[str, Any]:
        """How much is kept: `frames`, `seconds`, `views`, and `end`, why no more is."""
        ...

    def append(self, jpeg: bytes, seconds: float, step: str = "") -> bool:
        """Keep a JPEG, captured at `seconds` of a clock that rises. Returns whether it was kept. Raises Refused."""
        ...

    def pose(self, pose: Pose | None, seconds: float, size: FrameSize) -> dict[str, float]:
        """Take in the pose of a frame. Returns the seconds of each view."""
        ...


FindFilming = Callable[[Visitor, str], Awaitable[Filming]]
"""Returns what keeps the frames of a visitor's making, by its id. Raises Refused."""


def making_wish(text: str) -> tuple[object, str] | None:
    """Return the ticket and the making of a first message that films; None for one that dances. Raises Refused 400."""
    try:
        said = said_in(text)
    except ValueError:
        return None  # `opening` refuses it
    if not isinstance(said, dict) or "film" not in said:
        return None
    film = said["film"]
    if not isinstance(film, dict) or not isinstance(film.get("making"), str):
        raise Refused(400, "bad_message", 'The first message must name a making: {"film": {"making": ID}}.')
    return said.get("ticket"), film["making"]


async def film(socket: WebSocket, filming: Filming, stopped: asyncio.Event) -> str:
    """Keep the page's frames until it ends. stopped: set when the process drains. Returns why it ended."""
    step = ""
    with filming:
        await socket.send_text(json.dumps({"filming": filming.kept}))
        ending = asyncio.create_task(stopped.wait(), name="draining")
        try:
            while True:
                receiving = asyncio.create_task(socket.receive(), name="film frames")
                done, _ = await asyncio.wait(
                    {receiving, ending}, timeout=_SILENT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if receiving not in done:
                    receiving.cancel()
                    if ending in done:
                        return "draining"
                    raise Refused(408, "page_silent", f"The page sent nothing for {_SILENT_SECONDS:.0f} s.")
                message = receiving.result()
                if message["type"] == "websocket.disconnect":
                    return "gone"
                text, data = message.get("text"), message.get("bytes")
                if text == "end":
                    return "finished"
                if data is None:
                    step = _step(text or "")
                    continue
                frame = frame_from(data)
                seconds = frame.captured_at_s or 0.0
                if isinstance(frame, PosedFrame):
                    filming.pose(frame.pose, seconds, frame.size)
                    await socket.send_text(json.dumps({"filmed": filming.kept}))
                else:
                    filming.append(frame.picture.data, seconds, step)
        finally:
            ending.cancel()


def _step(text: str) -> str:
    try:
        step = said_in(text)["step"]
        if isinstance(step, str):
            return step
    except (ValueError, KeyError, TypeError):
        pass
    raise Refused(400, "bad_message", f"The message {text[:80]!r} is not known here.")
