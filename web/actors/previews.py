"""The moving previews of the cards, kept for a while: a version's preview never changes."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from web.access.orchestrator import Orchestrator
from web.access.refusals import Refused
from web.access.visitors import Visitor

_MOST_KEPT: Final = 64
_KEPT_SECONDS: Final = 60.0
"""Then it is asked for again: the person may have withdrawn the actor."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of an actor. data: its file's bytes."""

    media_type: str
    data: bytes


class Previews:
    """Asks the orchestrator for previews. Visitors with different tokens share nothing. clock: in seconds."""

    def __init__(self, orchestrator: Orchestrator, clock: Callable[[], float] = time.monotonic) -> None:
        self._orchestrator = orchestrator
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str, int, bool], tuple[Preview, float]] = OrderedDict()

    async def of(self, visitor: Visitor, actor: str, version: int, *, still: bool) -> Preview:
        """Return a version's preview; still: its first picture only. Raises Refused 404 if it has none, ServerError."""
        key = (visitor.token, actor, version, still)
        kept, until_s = self._kept.get(key, (None, 0.0))
        if kept is not None and self._clock() < until_s:
            return kept
        self._kept.pop(key, None)
        preview = await self._asked(visitor, actor, version)
        shown = await asyncio.to_thread(_first_picture, preview) if still else preview
        self._kept[key] = shown, self._clock() + _KEPT_SECONDS
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return shown

    async def _asked(self, visitor: Visitor, actor: str, version: int) -> Preview:
        async with self._orchestrator.client(visitor) as client:
            listed = await client.actors(actor, version, previews=True)
        for found in self._orchestrator.consents.shown(listed):
            if found.preview is not None:
                return Preview(found.preview.media_type, found.preview.data)
        raise Refused(404, "no_preview", "This actor has no preview.")


def _first_picture(preview: Preview) -> Preview:
    picture = cv2.imdecode(np.frombuffer(preview.data, np.uint8), cv2.IMREAD_COLOR)  # the first of an animation
    if picture is None:
        raise Refused(404, "no_preview", "The preview of this actor cannot be read.")
    encoded, still = cv2.imencode(".webp", picture)
    assert encoded
    return Preview("image/webp", still.tobytes())
