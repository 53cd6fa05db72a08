"""Tickets: what a page shows in the first message of a WebSocket, since it cannot set a header there."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from web.access.refusals import Refused
from web.access.visitors import Visitor

_MOST_OPEN: Final = 10_000


class Tickets:
    """Random tickets; each is valid once, for a short time.

    A token or a cookie in an address would appear in logs and histories; a ticket appears in neither, and is worthless
    a moment later. clock: monotonic, in seconds.
    """

    def __init__(self, valid_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.valid_seconds = valid_seconds
        self._clock = clock
        self._open: OrderedDict[str, tuple[Visitor, float]] = OrderedDict()

    def issue(self, visitor: Visitor) -> str:
        """Return a new ticket of this visitor."""
        now_s = self._clock()
        while self._open and (len(self._open) >= _MOST_OPEN or next(iter(self._open.values()))[1] < now_s):
            self._open.popitem(last=False)
        ticket = secrets.token_urlsafe(24)
        self._open[ticket] = visitor, now_s + self.valid_seconds
        return ticket

    def redeem(self, ticket: object) -> Visitor:
        """Return the visitor of a ticket, which is then used up. Raises Refused 401."""
        visitor, until_s = self._open.pop(ticket, (None, 0.0)) if isinstance(ticket, str) else (None, 0.0)
        if visitor is None or self._clock() > until_s:
            raise Refused(401, "ticket", "The ticket is unknown, used or too old: ask for a new one and connect again.")
        return visitor
