"""What a stage's call fails with, as our errors: they name the stage and the frame, and keep the cause."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc.aio
from grpc import StatusCode
from tritonclient.utils import InferenceServerException

from serving.errors import StageError, StageRefused, StageTimeout, StageUnavailable
from serving.observability import logs, metrics, tracing

_log = logging.getLogger(__name__)

# A stage that breaks inside answers INTERNAL or UNKNOWN, and so does Triton over a dead stub: it died, for all we know.
# One that is full may have room in a moment, or another replica has.
_AWAY = frozenset(
    {
        StatusCode.UNAVAILABLE,
        StatusCode.INTERNAL,
        StatusCode.UNKNOWN,
        StatusCode.CANCELLED,
        StatusCode.ABORTED,
        StatusCode.RESOURCE_EXHAUSTED,
    }
)


class CallFailed(Exception):
    """A stage ended its stream with a status."""

    def __init__(self, code: StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


def stage_error(stage: str, sequence: int | None, code: StatusCode, details: str) -> StageError:
    """The error for a status that a stage answered."""
    if code is StatusCode.DEADLINE_EXCEEDED:
        return StageTimeout(stage, sequence, details)
    if code in _AWAY:
        return StageUnavailable(stage, sequence, f"{code.name}: {details}", code)
    return StageRefused(stage, sequence, f"{code.name}: {details}", code)


def status_code(error: InferenceServerException) -> StatusCode:
    """The status that Triton answered; tritonclient keeps it as text: "StatusCode.UNAVAILABLE"."""
    return StatusCode[(error.status() or "StatusCode.UNKNOWN").removeprefix("StatusCode.")]


@contextmanager
def stage_errors(stage: str, sequence: int | None, seconds: float) -> Iterator[None]:
    """Raises StageError for what a call to `stage` about one frame fails with, and counts it.

    seconds: the call's time limit, for the message. sequence: None where no single frame is concerned.
    """
    started_s = time.perf_counter()
    try:
        try:
            yield
        except CallFailed as error:
            raise stage_error(stage, sequence, error.code, error.details) from error
        except grpc.aio.AioRpcError as error:
            raise stage_error(stage, sequence, error.code(), error.details() or "") from error
        except InferenceServerException as error:
            raise stage_error(stage, sequence, status_code(error), error.message() or "") from error
        except TimeoutError as error:
            raise StageTimeout(stage, sequence, f"no answer within {seconds:g} s") from error
    except StageError as error:
        metrics.STAGE_DURATION.labels(stage, _outcome(error)).observe(time.perf_counter() - started_s)
        raise


def retried(stage: str, sequence: int | None, reason: str) -> None:
    """A stage failed, and is asked once more: counts that, and tells it. Call it before each further attempt.

    sequence: the frame that it is asked about again, or None where no single frame is concerned.
    """
    metrics.STAGE_RETRIES.labels(stage).inc()
    tracing.note("retry", stage=stage, sequence=sequence, reason=reason)
    _log.warning("stage is asked again", extra=logs.facts(stage=stage, sequence=sequence, reason=reason))


def _outcome(error: StageError) -> str:
    if isinstance(error, StageTimeout):
        return "timeout"
    return "refused" if isinstance(error, StageRefused) else "failed"
