"""The log records, the trace and the end metrics of one client's stream."""

from __future__ import annotations

import logging
import time
from typing import Any, Final, get_args

import grpc.aio

from motion.frame import NoPictureReason
from orchestrator.session.ending import EndReason
from serving.errors import ConsentRefusal, DanceError, NoConsent, StageError
from serving.observability import logs, metrics, tracing
from serving.rpc.authentication import ANONYMOUS, client_of
from serving.rpc.call_context import SESSION_METADATA

_log = logging.getLogger(__name__)

_OUR_FAULT: Final = frozenset({EndReason.STAGE_FAILED, EndReason.STAGE_TIMEOUT, EndReason.BROKEN})


def begin_at_zero() -> None:
    """Create the orchestrator's counters at zero. Prometheus computes no rate for a counter's first event otherwise."""
    for stage in ("pose", "normalize", "generator", "face"):
        metrics.STAGE_RETRIES.labels(stage)
    for result in ("picture", *(reason.value for reason in NoPictureReason)):
        metrics.FRAMES.labels(result)
    for mark in ("watermark", "label", "none"):
        metrics.MARKED_FRAMES.labels(mark)
    for direction in ("down", "up"):
        metrics.RUNG_CHANGES.labels(direction)
    for reason in EndReason:
        metrics.SESSION_ENDS.labels(reason.value)
    for refusal in get_args(ConsentRefusal):
        metrics.CONSENT_REFUSED.labels(refusal)


class SessionLog:
    """Records one Transfer or FitBody stream. `begin` it first: tasks created later then belong to the session.

    kind: "transfer" or "fit_body". client: the caller's name, see `serving.rpc.authentication`. answered: how many
    frames have been answered.
    """

    def __init__(self, kind: str, client: str, peer: str, trace_every_n_frames: int) -> None:
        self.client = client
        self.session = logs.new_session_id()
        self.answered = 0
        self._actor: tuple[str, int] | None = None
        self._kind = kind
        self._peer = peer
        self._began_s = time.perf_counter()
        logs.SESSION.set(self.session)
        logs.SEQUENCE.set(None)
        self._trace = tracing.begin_session(kind, trace_every_n_frames)

    @classmethod
    async def begin(cls, kind: str, context: grpc.aio.ServicerContext, trace_every_n_frames: int) -> SessionLog:
        """Assign the session's id, and send it to the client in the initial metadata, for error reports."""
        log = cls(kind, client_of(context), context.peer(), trace_every_n_frames)
        await context.send_initial_metadata(((SESSION_METADATA, log.session),))
        return log

    @property
    def rollout_key(self) -> str:
        """See `orchestrator.session.transfer_session.Client`: the client's name, or the session's id without one."""
        return self.session if self.client == ANONYMOUS else self.client

    def opened(self, actor: str | None = None, actor_version: int | None = None, **named: Any) -> None:
        """Record that the session was accepted. named: facts about it, for the log and the trace."""
        if actor is not None and actor_version is not None:
            self._actor = actor, actor_version
        named = {"actor": actor, "actor_version": actor_version, **named}
        _log.info("session opened", extra=logs.facts(kind=self._kind, client=self.client, peer=self._peer, **named))
        if self._trace is not None:
            self._trace.annotate(**named)

    def ended(self, reason: EndReason, error: BaseException | None) -> None:
        """Count and record the end of the session. The failure of a stage is recorded with its frame."""
        metrics.SESSION_ENDS.labels(reason.value).inc()
        if isinstance(error, NoConsent):
            metrics.CONSENT_REFUSED.labels(error.reason).inc()
        if self._actor is not None:
            actor, version = self._actor
            metrics.ACTOR_SESSION_ENDS.labels(actor, str(version), reason.value).inc()
        stage = error.stage if isinstance(error, StageError) else None
        sequence = error.sequence if isinstance(error, StageError) else None
        named = logs.facts(
            kind=self._kind,
            reason=reason.value,
            frames=self.answered,
            seconds=round(time.perf_counter() - self._began_s, 3),
            stage=stage,
            sequence=sequence,
            error=str(error) if isinstance(error, DanceError) else None,
            client=self.client,
            peer=self._peer,
        )
        level = logging.WARNING if reason in _OUR_FAULT else logging.INFO
        _log.log(level, "session ended", extra=named)
        if self._trace is not None:
            self._trace.annotate(reason=reason.value, frames=self.answered, stage=stage, sequence=sequence)
            self._trace.end(error)
