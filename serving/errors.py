"""Our errors. Each class carries the gRPC status that `serving.rpc.error_status` turns it into.

DanceError                      everything we raise on purpose; carries a gRPC status code
+-- BadInput                    INVALID_ARGUMENT     a value breaks the contract; `field` is its path
|   +-- BadPicture              INVALID_ARGUMENT     a picture's bytes, size or encoding are refused
|   +-- BadSettings             INVALID_ARGUMENT     an environment variable or option is invalid
|   +-- WorkFolderBusy          UNAVAILABLE          another training uses the folder; retryable
+-- UnreadableVideo             INVALID_ARGUMENT     a file or stream yields no picture
+-- NotServed                   UNIMPLEMENTED        a field of the contract that this server does not support
+-- ActorNotFound               NOT_FOUND            no such actor, or no such version
+-- ActorUnusable               FAILED_PRECONDITION  another label-map or wardrobe version, or damaged files
|   +-- NoConsent               FAILED_PRECONDITION  the person's consent is not stated, has ended or was revoked
+-- NoBody                      FAILED_PRECONDITION  no whole body in the frames, where one is needed
+-- Unauthenticated             UNAUTHENTICATED      no valid token; `reason` is a word for metrics
+-- AtCapacity                  RESOURCE_EXHAUSTED   the server is full; retryable
+-- Draining                    UNAVAILABLE          the server is shutting down; retryable
+-- StageError                  UNAVAILABLE          a stage failed; `stage` and `sequence` name the stage and the frame
    +-- StageUnavailable        UNAVAILABLE          it could not be reached, died, or is full; retryable
    +-- StageTimeout            DEADLINE_EXCEEDED    it was silent for too long; retryable
    +-- StageRefused            UNAVAILABLE          it refused its input; not retryable
    +-- StageBroken             UNAVAILABLE          its answer is invalid; not retryable

Subclasses also live elsewhere: TritonFailed in services/generator, FootageRefused and DiskFull in training, and those
of the command line in client/errors.py.

An error is final (`is_final`) when it is not retryable and its code blames the request or something the request
names. No retry fixes that, so a training ends for good. Any other error, ours or not, may succeed at the next attempt.
"""

from __future__ import annotations

from typing import Final, Literal

from grpc import StatusCode

_FAULTS_OF_THE_REQUEST: Final = frozenset(
    {StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.FAILED_PRECONDITION, StatusCode.UNIMPLEMENTED}
)


class DanceError(Exception):
    """Everything we raise on purpose. The message is for people: what was wrong, and what was expected."""

    code: StatusCode = StatusCode.INTERNAL
    retryable: bool = False


class BadInput(DanceError):
    """A value breaks the contract.

    field: the value's path, for example "config.actor". problem: the message without the field.
    """

    code = StatusCode.INVALID_ARGUMENT

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.problem = message


class BadPicture(BadInput):
    """A picture's bytes, size or encoding are not accepted."""


class BadSettings(BadInput):
    """A setting is invalid; `field` is the environment variable or the option."""


class WorkFolderBusy(BadInput):
    """Another training uses the folder; it may be the end of this same training, on another machine."""

    code = StatusCode.UNAVAILABLE
    retryable = True


class UnreadableVideo(DanceError):
    """A file or stream yields no picture: it is missing, empty, damaged, or not a video."""

    code = StatusCode.INVALID_ARGUMENT


class NotServed(DanceError):
    """The request sets a field of the contract that this server does not support."""

    code = StatusCode.UNIMPLEMENTED


class ActorNotFound(DanceError):
    """The actor, or this version of it, does not exist."""

    code = StatusCode.NOT_FOUND


class ActorUnusable(DanceError):
    """The actor exists but cannot be served: wrong label-map version, or damaged or missing files."""

    code = StatusCode.FAILED_PRECONDITION


ConsentRefusal = Literal["not_stated", "expired", "revoked", "deleted"]


class NoConsent(ActorUnusable):
    """No consent allows this version of the actor to be served, or no longer.

    reason: a word for metrics. "deleted": the version was deleted while it was in use.
    """

    def __init__(self, reason: ConsentRefusal, message: str) -> None:
        super().__init__(message)
        self.reason: ConsentRefusal = reason


class NoBody(DanceError):
    """The frames show no whole body where one is needed."""

    code = StatusCode.FAILED_PRECONDITION


class Unauthenticated(DanceError):
    """The caller did not prove its identity. The message never contains the token.

    reason: one word from a small set, for metrics.
    """

    code = StatusCode.UNAUTHENTICATED

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class AtCapacity(DanceError):
    """The server is full; retry later."""

    code = StatusCode.RESOURCE_EXHAUSTED
    retryable = True


class Draining(DanceError):
    """The server is shutting down; another one may take over."""

    code = StatusCode.UNAVAILABLE
    retryable = True


class StageError(DanceError):
    """A stage failed.

    stage: its name. sequence: the frame it was working on, or None if the failure belongs to no single frame.
    stage_code: the stage's own status, if it sent one. It never becomes ours, because a client would take it to be
    about its request.
    """

    code = StatusCode.UNAVAILABLE

    def __init__(self, stage: str, sequence: int | None, reason: str, stage_code: StatusCode | None = None) -> None:
        where = "" if sequence is None else f" at frame {sequence}"
        super().__init__(f"stage {stage} failed{where}: {reason}")
        self.stage = stage
        self.sequence = sequence
        self.reason = reason
        self.stage_code = stage_code


class StageUnavailable(StageError):
    """The stage could not be reached, died, or is full."""

    retryable = True


class StageTimeout(StageError):
    """The stage was silent for too long."""

    code = StatusCode.DEADLINE_EXCEEDED
    retryable = True


class StageRefused(StageError):
    """The stage refused its input; a retry would not help."""


class StageBroken(StageError):
    """The stage's answer is invalid; a retry would not help."""


def first_error(error: BaseException) -> BaseException:
    """Return the first error in a (nested) exception group, one of ours if there is any; else the error itself."""
    if isinstance(error, BaseExceptionGroup):
        error = error.subgroup(DanceError) or error
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def is_final(error: BaseException) -> bool:
    """Whether the same request would fail again, on any server and at any time."""
    return isinstance(error, DanceError) and not error.retryable and error.code in _FAULTS_OF_THE_REQUEST
