"""What is told about one client's stream, from its first moment to its last: its id, its log records, its trace."""

from __future__ import annotations

import logging
import time
from typing import Any, Final

import grpc.aio

from serving.errors import DanceError, StageError
from serving.observability import logs, tracing
from serving.rpc.authentication import client_of
from serving.rpc.call_context import SESSION_METADATA

_log = logging.getLogger(__name__)

_OUR_FAULT: Final = frozenset({"stage_failed", "stage_timeout", "broken"})


class Journal:
    """Of one Transfer or FitBody stream. `begin` it first of all: tasks that are made later belong to the session.

    kind: "transfer" or "fit_body". client: who calls, see `serving.rpc.authentication`. answered: how many frames
    were answered
    so far. danced: actor and version, once the session was accepted. drained: whether the client is being told, or was
    told, that the server goes away: then it may go too, at any moment.
    """

    def __init__(self, kind: str, client: str, peer: str, trace_every_n_frames: int) -> None:
        self.client = client
        self.session = logs.new_session_id()
        self.answered = 0
        self.danced: tuple[str, int] | None = None
        self.drained = False
        self._kind = kind
        self._peer = peer
        self._began_s = time.perf_counter()
        logs.SESSION.set(self.session)
        logs.SEQUENCE.set(None)
        self._trace = tracing.begin_session(kind, trace_every_n_frames)

    @classmethod
    async def begin(cls, kind: str, context: grpc.aio.ServicerContext, trace_every_n_frames: int) -> Journal:
        """Gives the session its id, and tells it to the client with the initial metadata, so that it can be quoted."""
        journal = cls(kind, client_of(context), context.peer(), trace_every_n_frames)
        await context.send_initial_metadata(((SESSION_METADATA, journal.session),))
        return journal

    def opened(self, **named: Any) -> None:
        """The session was accepted. named: what it is about, for the log and the trace."""
        _log.info("session opened", extra=logs.facts(kind=self._kind, client=self.client, peer=self._peer, **named))
        if self._trace is not None:
            self._trace.tell(**named)

    def ended(self, reason: str, error: BaseException | None) -> None:
        """The session is over. reason: as in `dance_session_end_total`. A stage that failed is told with its frame."""
        seconds = round(time.perf_counter() - self._began_s, 3)
        stage = error.stage if isinstance(error, StageError) else None
        sequence = error.sequence if isinstance(error, StageError) else None
        named = logs.facts(
            kind=self._kind,
            reason=reason,
            frames=self.answered,
            seconds=seconds,
            stage=stage,
            sequence=sequence,
            error=str(error) if isinstance(error, DanceError) else None,
            client=self.client,
            peer=self._peer,
        )
        level = logging.WARNING if reason in _OUR_FAULT else logging.INFO
        _log.log(level, "session ended", extra=named)
        if self._trace is not None:
            self._trace.tell(reason=reason, frames=self.answered, stage=stage, sequence=sequence)
            self._trace.end(error)
