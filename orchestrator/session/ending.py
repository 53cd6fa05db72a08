"""How a client's stream ends: the phases of a drain, and the reason that is counted and logged."""

from __future__ import annotations

import asyncio
from enum import Enum, IntEnum, auto

from serving.errors import AtCapacity, DanceError, Draining, NoConsent, StageError, StageTimeout


class EndReason(Enum):
    """Why a stream ended: the label `reason` of `dance_session_end_total`, and a field of the log and the trace."""

    FINISHED = "finished"
    DRAINED = "drained"
    """The server shut down, and told the client where to resume."""
    CANCELLED = "cancelled"
    REFUSED = "refused"
    CONSENT_ENDED = "consent_ended"
    """The consent to the actor has ended or was revoked, before the session or during it."""
    FULL = "full"
    DRAINING = "draining"
    """Refused because the server is shutting down."""
    CLIENT_SILENT = "client_silent"
    TOO_LONG = "too_long"
    STAGE_TIMEOUT = "stage_timeout"
    STAGE_FAILED = "stage_failed"
    BROKEN = "broken"
    """An error that is not one of ours."""
    NEVER_READ = "never_read"
    """Counted in addition to another reason: the client did not read far enough to receive a status."""


class Phase(IntEnum):
    """The phases of a stream, in order; phases may be skipped."""

    RUNNING = auto()
    DRAINING = auto()
    """The server is shutting down. The session has yet to stop its input."""
    INPUT_STOPPED = auto()
    """No more frames are taken. Answers that are owed are still sent."""
    ANSWERED = auto()
    """Every owed answer was sent. Frames that wait for their look-ahead stay unanswered."""
    DRAINED = auto()
    """The client is being told, or was told, where to resume."""
    FINISHED = auto()
    """The client half-closed and every frame was answered, with or without a drain."""


class Ending:
    """The one record of how a stream ends, shared by the servicer and the session."""

    def __init__(self) -> None:
        self.phase = Phase.RUNNING
        self._changed = asyncio.Event()

    def drain(self) -> None:
        """Request the session's end at a frame boundary, because the server is shutting down."""
        if self.phase is Phase.RUNNING:
            self.enter(Phase.DRAINING)

    def enter(self, phase: Phase) -> None:
        """Move on to a later phase."""
        self.phase = phase
        self._changed.set()

    async def at_least(self, phase: Phase) -> Phase:
        """Wait until the stream is in `phase` or a later one, and return that. For one waiting task."""
        while self.phase < phase:
            self._changed.clear()
            await self._changed.wait()
        return self.phase

    def reason(self, failure: BaseException | None) -> EndReason:
        """Return why the stream ended. failure: what its handler raised, or None."""
        if failure is None or isinstance(failure, asyncio.CancelledError):
            if self.phase is Phase.DRAINED:
                return EndReason.DRAINED
            return EndReason.FINISHED if failure is None else EndReason.CANCELLED
        match failure:
            case StageTimeout(stage="client"):
                return EndReason.CLIENT_SILENT
            case StageTimeout(stage="session"):
                return EndReason.TOO_LONG
            case StageTimeout():
                return EndReason.STAGE_TIMEOUT
            case AtCapacity():
                return EndReason.FULL
            case Draining():
                return EndReason.DRAINING
            case StageError():
                return EndReason.STAGE_FAILED
            case NoConsent(reason="expired" | "revoked" | "deleted"):
                return EndReason.CONSENT_ENDED
            case DanceError():
                return EndReason.REFUSED
        return EndReason.BROKEN
