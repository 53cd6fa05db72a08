"""How long, and how often, a server that went away is tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from grpc import StatusCode

from client.errors import ServerDraining, ServerError

PATIENCE_SECONDS: Final = 60.0
_FIRST_WAIT_SECONDS: Final = 0.25
_LONGEST_WAIT_SECONDS: Final = 8.0
_MOST_DOUBLINGS: Final = 10


class Patience:
    """Exponential backoff with jitter, for one server; every outage has `limit_seconds` of its own.

    An outage lasts until `progress()`, and its time runs from a failure to `connected()`: a server that comes back only
    to fail at the same frame has not ended it. The waits double up to 8 s and are drawn from their upper half, so that
    the clients of one server do not all come back at once.

    reached: whether the server was ever there. One that never was, is told at once: its address may be wrong.
    clock: seconds, rising.
    """

    def __init__(
        self,
        limit_seconds: float,
        *,
        reached: bool = False,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self.limit_seconds = limit_seconds
        self._reached = reached
        self._clock = clock
        self._chance = chance or random.Random()
        self._spent_seconds = 0.0
        self._since: float | None = None
        self._attempts = 0
        self._cause: ServerError | None = None

    @property
    def left_seconds(self) -> float:
        """Of the outage that is on; `limit_seconds` while there is none."""
        running_seconds = 0.0 if self._since is None else self._clock() - self._since
        return self.limit_seconds - self._spent_seconds - running_seconds

    def connected(self) -> None:
        """The server is there again; whether it is of use, `progress` says."""
        self._reached = True
        self._spent_seconds = self.limit_seconds - self.left_seconds
        self._since = None

    def progress(self) -> None:
        """The server did something that it had not done before: the outage is over."""
        self._reached = True
        self._spent_seconds = 0.0
        self._since = None
        self._attempts = 0
        self._cause = None

    def wait_after(self, failure: ServerError) -> float:
        """Seconds to wait before the next attempt. Raises ServerError when another one is not worth it."""
        asked_seconds = failure.retry_after_seconds
        if not failure.retryable or self.limit_seconds <= 0 or (not self._reached and asked_seconds is None):
            raise failure
        if self._since is None:
            self._since = self._clock()
        if self._cause is None or failure.status is not StatusCode.INTERNAL:
            self._cause = failure  # a cut that hides its reason says less than what came before it
        left_seconds = self.left_seconds
        if left_seconds <= 0 or (asked_seconds or 0.0) > left_seconds:
            cause = self._cause
            raise ServerError(f"{cause}; tried again for {self.limit_seconds:g} s", cause.status) from failure
        longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2.0 ** min(self._attempts, _MOST_DOUBLINGS))
        wait_seconds = longest * self._chance.uniform(0.5, 1.0)
        if isinstance(failure, ServerDraining) and self._attempts == 0:
            wait_seconds = 0.0  # another one takes over behind the same address
        elif asked_seconds is not None:
            wait_seconds = max(wait_seconds, asked_seconds * self._chance.uniform(1.0, 1.25))
        self._attempts += 1
        return min(wait_seconds, left_seconds)
