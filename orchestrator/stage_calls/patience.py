"""How long, and how often, a stage that fails is asked again."""

from __future__ import annotations

import asyncio
from typing import Final

from orchestrator.stage_calls.failures import retried
from serving.errors import StageError

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0


class Patience:
    """With one stage of one session. The first retry comes at once, the next ones after growing pauses.

    away_seconds: how long the stage may fail without a success in between.
    """

    def __init__(self, away_seconds: float) -> None:
        self._away_seconds = away_seconds
        self._failing_since_s: float | None = None
        self._pause_seconds = 0.0

    async def again(self, error: StageError) -> None:
        """Returns when the stage is to be asked again; raises `error` where asking again is of no use, or no longer."""
        now_s = asyncio.get_running_loop().time()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        over = now_s + self._pause_seconds - self._failing_since_s > self._away_seconds
        if not error.retryable or over:
            raise error
        retried(error.stage, error.sequence, error.reason)
        await asyncio.sleep(self._pause_seconds)
        self._pause_seconds = min(max(_FIRST_PAUSE_SECONDS, 2 * self._pause_seconds), _LONGEST_PAUSE_SECONDS)

    def over(self) -> None:
        """The stage has answered."""
        self._failing_since_s = None
        self._pause_seconds = 0.0
