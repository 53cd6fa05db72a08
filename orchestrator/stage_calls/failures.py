"""The failures of calls to a stage: as our errors, which name the stage and the frame, and how they are retried."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc.aio
from grpc import StatusCode

from serving.errors import BadInput, StageBroken, StageError, StageRefused, StageTimeout, StageUnavailable
from serving.observability import logs, metrics, tracing
from serving.process.backoff import Backoff
from serving.rpc.client_stream import LOST_STATUS

_log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0

# A stage that breaks answers INTERNAL or UNKNOWN, as Triton does when a stub process dies; we treat it as gone.
# A stage that is full may have room soon, or another replica may.
_AWAY: Final = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
    }
)


def stage_error(stage: str, sequence: int | None, code: StatusCode, details: str) -> StageError:
    """Return the error for a status that a stage answered with."""
    if code is StatusCode.DEADLINE_EXCEEDED:
        return StageTimeout(stage, sequence, details)
    if code in _AWAY:
        return StageUnavailable(stage, sequence, f"{code.name}: {details}", code)
    return StageRefused(stage, sequence, f"{code.name}: {details}", code)


@contextmanager
def stage_errors(stage: str, sequence: int | None, seconds: float) -> Iterator[None]:
    """Turn the failure of a call to `stage` about one frame into a StageError, and count it.

    BadInput is about the stage's answer, so the stage is at fault and not the client.

    seconds: the call's time limit, for the message. sequence: None where no single frame is concerned.
    """
    started_s = time.perf_counter()
    try:
        try:
            yield
        except grpc.aio.AioRpcError as error:
            code, details = error.code(), error.details() or ""
            if (code, details) == LOST_STATUS:
                code, details = StatusCode.UNAVAILABLE, "it ended the stream while a frame was being sent"
            raise stage_error(stage, sequence, code, details) from error
        except BadInput as error:
            raise StageBroken(stage, sequence, str(error)) from error
        except TimeoutError as error:
            reason = str(error) or f"no answer within {seconds:g} s"
            raise StageTimeout(stage, sequence, reason) from error
    except StageError as error:
        metrics.STAGE_DURATION.labels(stage, _outcome(error)).observe(time.perf_counter() - started_s)
        raise


class StageRetries:
    """The retries of one stage in one session. The first comes at once, later ones after growing pauses.

    away_seconds: how long the stage may keep failing without a success in between.
    """

    def __init__(self, away_seconds: float) -> None:
        self._away_seconds = away_seconds
        self._backoff = Backoff(_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS, at_once=True)
        self._failing_since_s: float | None = None

    async def again(self, error: StageError) -> None:
        """Return when the stage should be called again, and count the retry.

        Raises `error` if it is not retryable, or if the stage has been failing for too long.
        """
        now_s = asyncio.get_running_loop().time()
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        pause_seconds = self._backoff.next_seconds()
        if not error.retryable or now_s + pause_seconds - self._failing_since_s > self._away_seconds:
            raise error
        metrics.STAGE_RETRIES.labels(error.stage).inc()
        tracing.note("retry", stage=error.stage, sequence=error.sequence, reason=error.reason)
        facts = logs.facts(stage=error.stage, sequence=error.sequence, reason=error.reason)
        _log.warning("stage is retried", extra=facts)
        await asyncio.sleep(pause_seconds)

    def over(self) -> None:
        """End the series of failures: the stage has answered."""
        self._failing_since_s = None
        self._backoff.reset()


def _outcome(error: StageError) -> str:
    if isinstance(error, StageTimeout):
        return "timeout"
    return "refused" if isinstance(error, StageRefused) else "failed"
