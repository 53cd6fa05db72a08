"""How long, and how often, the client retries a server that went away."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

from grpc import StatusCode

from client.errors import ServerDraining, ServerError
from serving.process.backoff import Backoff

PATIENCE_SECONDS: Final = 60.0
_FIRST_WAIT_SECONDS: Final = 0.25
_LONGEST_WAIT_SECONDS: Final = 8.0


class ServerPatience:
    """Back-off with jitter for one server, with `limit_seconds` for each outage.

    An outage lasts until `progress()`. Its clock runs from a failure to `connected()`, and goes on at the next failure:
    a server that returns only to fail at the same frame has not ended the outage.

    reached: whether the server was ever there. If not, the first failure is final: the address may be wrong.
    clock: monotonic, in seconds.
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
        self._backoff = Backoff(_FIRST_WAIT_SECONDS, _LONGEST_WAIT_SECONDS, jitter=self._chance)
        self._spent_seconds = 0.0
        self._since: float | None = None
        self._cause: ServerError | None = None

    @property
    def left_seconds(self) -> float:
        """What is left for the current outage; `limit_seconds` when there is none."""
        running_seconds = 0.0 if self._since is None else self._clock() - self._since
        return self.limit_seconds - self._spent_seconds - running_seconds

    def connected(self) -> None:
        """Stop the clock: the server is back. The outage ends only with `progress`."""
        self._reached = True
        self._spent_seconds = self.limit_seconds - self.left_seconds
        self._since = None

    def progress(self) -> None:
        """End the outage: the server did something it had not done before."""
        self._reached = True
        self._spent_seconds = 0.0
        self._since = None
        self._backoff.reset()
        self._cause = None

    def wait_after(self, failure: ServerError) -> float:
        """Return the seconds to wait before the next attempt. Raises ServerError when a retry is not worth it."""
        asked_seconds = failure.retry_after_seconds
        if not failure.retryable or self.limit_seconds <= 0 or (not self._reached and asked_seconds is None):
            raise failure
        if self._since is None:
            self._since = self._clock()
        if self._cause is None or failure.status is not StatusCode.INTERNAL:
            self._cause = failure  # a cut connection hides the reason, so an earlier error explains more
        left_seconds = self.left_seconds
        if left_seconds <= 0 or (asked_seconds or 0.0) > left_seconds:
            cause = self._cause
            raise ServerError(f"{cause}; tried again for {self.limit_seconds:g} s", cause.status) from failure
        first = self._backoff.failures == 0
        wait_seconds = self._backoff.next_seconds()
        if isinstance(failure, ServerDraining) and first:
            wait_seconds = 0.0  # another server takes over at the same address
        elif asked_seconds is not None:
            wait_seconds = max(wait_seconds, asked_seconds * self._chance.uniform(1.0, 1.25))
        return min(wait_seconds, left_seconds)
