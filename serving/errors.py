"""Our errors, and the one place that turns them into gRPC statuses.

DanceError                      everything we raise on purpose; carries a gRPC status code
+-- BadInput                    INVALID_ARGUMENT     a value breaks the contract; `field` is its path
|   +-- BadPicture              INVALID_ARGUMENT     a picture's bytes, size or encoding
|   +-- BadSettings             INVALID_ARGUMENT     an environment variable or option
|   +-- WorkFolderBusy          UNAVAILABLE          another training is at work in the folder; retryable
+-- NotServed                   UNIMPLEMENTED        a field of the contract that this server does not serve
+-- ActorNotFound               NOT_FOUND            no such actor, or no such version
+-- ActorUnusable               FAILED_PRECONDITION  another label-map version, damaged files
+-- NoBody                      FAILED_PRECONDITION  no whole body seen where one is needed
+-- Unauthenticated             UNAUTHENTICATED      no token, or one that is not good; `reason` is a word for metrics
+-- AtCapacity                  RESOURCE_EXHAUSTED   admission refused
+-- Draining                    UNAVAILABLE          the server goes away
+-- StageError                  UNAVAILABLE          a stage failed; `stage` and `sequence` say which and where
    +-- StageUnavailable        UNAVAILABLE          it could not be reached, or died; retryable
    +-- StageTimeout            DEADLINE_EXCEEDED    it fell silent for longer than it may; retryable
    +-- StageRefused            UNAVAILABLE          it refused what it was given; not retryable
    +-- StageBroken             UNAVAILABLE          it answered nonsense; not retryable

Where a code says that the request, or what it names, is at fault, and the error is not retryable, no retry mends it
(`is_final`): a training then ends for good. Everything else, also what is not ours, may go better another time.
"""

from __future__ import annotations

from typing import Final

from grpc import StatusCode

_FAULTS_OF_THE_REQUEST: Final = frozenset(
    {StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.FAILED_PRECONDITION, StatusCode.UNIMPLEMENTED}
)


class DanceError(Exception):
    """Everything we raise on purpose. The message is for a person: it says what was wrong and what was expected."""

    code: StatusCode = StatusCode.INTERNAL
    retryable: bool = False


class BadInput(DanceError):
    """A value breaks the contract.

    field: path of the value, for example "config.actor".
    """

    code = StatusCode.INVALID_ARGUMENT

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


class BadPicture(BadInput):
    """A picture's bytes, size or encoding cannot be accepted."""


class BadSettings(BadInput):
    """A setting is nonsense; `field` is the environment variable or the option."""


class WorkFolderBusy(BadInput):
    """Another training is at work in the folder; it may be the end of this very one, on another machine."""

    code = StatusCode.UNAVAILABLE
    retryable = True


class UnreadableVideo(DanceError):
    """A file or stream that gives no picture: missing, empty, damaged, or no video."""

    code = StatusCode.INVALID_ARGUMENT


class NotServed(DanceError):
    """A field of the contract that this server does not serve."""

    code = StatusCode.UNIMPLEMENTED


class ActorNotFound(DanceError):
    """There is no such actor, or no such version of it."""

    code = StatusCode.NOT_FOUND


class ActorUnusable(DanceError):
    """The actor exists and cannot be served: another label-map version, damaged or missing files."""

    code = StatusCode.FAILED_PRECONDITION


class NoBody(DanceError):
    """No whole body was seen where one is needed."""

    code = StatusCode.FAILED_PRECONDITION


class Unauthenticated(DanceError):
    """Nobody proved who calls. The message never holds what was shown as a proof.

    reason: one word of few, for metrics.
    """

    code = StatusCode.UNAUTHENTICATED

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AtCapacity(DanceError):
    """The server is full; try again later."""

    code = StatusCode.RESOURCE_EXHAUSTED
    retryable = True


class Draining(DanceError):
    """The server goes away; another one may be there."""

    code = StatusCode.UNAVAILABLE
    retryable = True


class StageError(DanceError):
    """A stage failed.

    stage: its name. sequence: the frame it had, or None when the failure belongs to no single frame.
    """

    code = StatusCode.UNAVAILABLE

    def __init__(self, stage: str, sequence: int | None, reason: str) -> None:
        where = "" if sequence is None else f" at frame {sequence}"
        super().__init__(f"stage {stage} failed{where}: {reason}")
        self.stage = stage
        self.sequence = sequence
        self.reason = reason


class StageUnavailable(StageError):
    """The stage could not be reached, died, or is full.

    code_of_stage: the stage's own status, where it answered one.
    """

    retryable = True

    def __init__(self, stage: str, sequence: int | None, reason: str, code_of_stage: StatusCode | None = None) -> None:
        super().__init__(stage, sequence, reason)
        self.code_of_stage = code_of_stage


class StageTimeout(StageError):
    """The stage fell silent for longer than it may."""

    code = StatusCode.DEADLINE_EXCEEDED
    retryable = True


class StageRefused(StageError):
    """The stage refused what it was given; asking again would not help.

    refused_with: the stage's own status. It never becomes ours, since a client would read it as one about its request.
    """

    def __init__(self, stage: str, sequence: int | None, reason: str, code: StatusCode) -> None:
        super().__init__(stage, sequence, reason)
        self.refused_with = code


class StageBroken(StageError):
    """The stage answered nonsense; asking again would not help."""


def is_final(error: BaseException) -> bool:
    """Whether the same request would fail again, wherever and whenever it is tried."""
    return isinstance(error, DanceError) and not error.retryable and error.code in _FAULTS_OF_THE_REQUEST
