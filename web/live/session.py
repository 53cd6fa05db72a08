"""One live session: frames from a page's WebSocket, answers of a resuming `Transfer` session back to it.

A page may send text messages between its frames: "end" ends the dance, after the answers to the frames in flight;
`{"record": ID}` adds the pictures that follow to a recording, which the visitor has begun, and `{"record": null}` no
longer. `{"recording": "full"}`, or another word, tells that a recording takes no more pictures.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from functools import partial
from typing import Any, Final, Protocol

from prometheus_client import Counter, Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from client.connection.resuming_session import ResumingSession
from client.connection.retry import ServerPatience
from client.connection.session import DanceClient
from client.connection.types import Answer, PosedFrame, SentFrame
from client.errors import CommandError, ServerError
from client.transfer.made_by import drawn_by
from client.transfer.rungs import chosen_size
from motion.frame import FrameSize
from provenance.credentials.manifest import SyntheticMedia
from serving.errors import DanceError
from serving.observability import logs
from serving.observability.metrics import child
from serving.pictures.background import Background
from web.access.consents import StatedConsents
from web.access.limits import Limits
from web.access.orchestrator import Orchestrator
from web.access.refusals import Refused, refused_by_server
from web.access.tickets import Tickets
from web.access.visitors import Visitor
from web.live.filming import FindFilming, film, making_wish
from web.live.messages import (
    Opening,
    accepted_message,
    answer_message,
    background_picture,
    frame_from,
    opening,
    recording_wish,
)

_log = logging.getLogger(__name__)

SESSIONS: Final = Gauge("dance_web_live_sessions", "Live sessions of pages")
FRAMES: Final = Counter("dance_web_live_frames", "Frames that pages sent, by what they sent: pose, picture", ["sent"])
SKIPPED: Final = Counter(
    "dance_web_live_skipped_frames", "Frames of pages that a newer one replaced before they were sent on"
)
ENDS: Final = Counter(
    "dance_web_live_ends", "Ended live sessions by reason: finished, gone, draining, refused, failed", ["reason"]
)

_OPENING_SECONDS: Final = 10.0
_SILENT_SECONDS: Final = 60.0
_PATIENCE_SECONDS: Final = 60.0
_WAITING_FRAMES: Final = 2
"""Frames that wait here for room in the session; the newest matter."""
_NORMAL, _POLICY, _FAILED, _RESTARTING = 1000, 1008, 1011, 1012
"""Close codes of RFC 6455 and IANA's registry."""


class Recorder(Protocol):
    """Takes the pictures of a session while its visitor records."""

    def drawn_by(self, drawn: SyntheticMedia) -> None:
        """Note what Content Credentials will say about the pictures that follow. Raises Refused for another actor."""
        ...

    def append(self, picture: bytes, seconds: float) -> bool:
        """Add a JPEG, shown at `seconds` of a clock that rises. Returns False if there is no more room."""
        ...


FindRecorder = Callable[[Visitor, str], Recorder]
"""Returns a visitor's recording by its id. Raises Refused."""


class LiveSessions:
    """The live sessions of this gateway.

    recorder: finds recordings. filming: finds what keeps the footage of a making; None if no actors are made here.
    patience_seconds: how long a lost orchestrator is tried again.
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        tickets: Tickets,
        limits: Limits,
        recorder: FindRecorder,
        filming: FindFilming | None = None,
        *,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        self._orchestrator = orchestrator
        self._tickets = tickets
        self._limits = limits
        self._recorder = recorder
        self._filming = filming
        self._patience_seconds = patience_seconds
        self._sessions: set[_Session] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._draining = asyncio.Event()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one WebSocket until its session ends. Every ending is told to the page, and counted."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        await socket.accept()
        reason, began_s = "failed", time.monotonic()
        try:
            if self._draining.is_set():
                raise Refused(503, "draining", "This server is restarting: try again in a moment.")
            first = await _first_text(socket)
            making = making_wish(first)
            reason = await (self._dance(socket, opening(first)) if making is None else self._film(socket, *making))
        except Refused as refusal:
            reason = "refused"
            await _refuse(socket, refusal)
        except ServerError as error:
            _log.warning("a live session failed", extra=logs.facts(because=error))
            await _refuse(socket, refused_by_server(error))
        except DanceError as error:
            reason = "refused"
            await _refuse(socket, Refused(400, "refused_by_server", str(error)))
        except WebSocketDisconnect:
            reason = "gone"
        except Exception:  # of any kind: the page must be told
            _log.exception("a live session failed")
            await _refuse(socket, Refused(500, "internal", "Something went wrong here; it has been logged."))
        finally:
            ENDS.labels(reason).inc()
            seconds = round(time.monotonic() - began_s, 1)
            _log.info("a live session ended", extra=logs.facts(reason=reason, seconds=seconds))
            await _close(socket, _FAILED)

    async def _dance(self, socket: WebSocket, opened: Opening) -> str:
        visitor = self._tickets.redeem(opened.ticket)
        with self._limits.admitted(visitor), SESSIONS.track_inprogress():
            async with self._orchestrator.client(visitor) as client:
                recorder = partial(self._recorder, visitor)
                session = _Session(
                    socket, client, opened, recorder, self._orchestrator.consents, self._patience_seconds
                )
                self._sessions.add(session)
                if self._draining.is_set():  # since this session was admitted
                    session.drain()
                try:
                    return await session.run()
                except ServerError:
                    if not self._draining.is_set():
                        raise
                    await _tell_end(socket, "draining")
                    return "draining"
                finally:
                    self._sessions.discard(session)

    async def _film(self, socket: WebSocket, ticket: object, making_id: str) -> str:
        visitor = self._tickets.redeem(ticket)
        if self._filming is None:
            raise Refused(404, "not_offered", "This server makes no actors.")
        with self._limits.admitted(visitor):
            try:
                why = await film(socket, await self._filming(visitor, making_id), self._draining)
            except OSError as error:
                _log.warning("footage cannot be kept", extra=logs.facts(because=error))
                raise Refused(507, "disk_full", "The footage cannot be kept here: the disk may be full.") from error
        await _tell_end(socket, why)
        return why

    async def drain(self, limit_seconds: float) -> None:
        """Ask all pages to come back later, refuse new sessions, and wait until the running ones have ended."""
        self._draining.set()
        for session in self._sessions:
            session.drain()
        if self._serving:
            await asyncio.wait(self._serving, timeout=limit_seconds)


class _Session:
    def __init__(
        self,
        socket: WebSocket,
        client: DanceClient,
        opened: Opening,
        recorder: Callable[[str], Recorder],
        consents: StatedConsents,
        patience_seconds: float,
    ) -> None:
        self._socket = socket
        self._find_recorder = recorder
        self._consents = consents
        self._recorder: Recorder | None = None
        self._drawn: SyntheticMedia | None = None
        self._client = client
        self._opened = opened
        self._patience = ServerPatience(patience_seconds, reached=True)
        self._waiting: deque[SentFrame] = deque(maxlen=_WAITING_FRAMES)
        self._changed = asyncio.Event()
        self._arrived_s: OrderedDict[int, float] = OrderedDict()
        self._end = ""
        self._failure: BaseException | None = None
        self._resuming: ResumingSession | None = None
        self._said: set[asyncio.Task[None]] = set()

    def drain(self) -> None:
        self._finish("draining")
        if self._resuming is not None:
            self._resuming.stop()  # a lost orchestrator is not waited for

    async def run(self) -> str:
        """Dance until the page, the server or the process ends it. Returns the reason. Raises Refused, ServerError."""
        background = await self._background()
        options = self._opened.options(await self._size(), background)
        resuming = self._resuming = ResumingSession(self._client, options, self._patience, self._tell_connection)
        if self._end:  # since this session was admitted
            resuming.stop()
        async with resuming as session:
            await self._consents.check(self._client, self._opened.actor, session.accepted.actor_version)
            self._drawn = drawn_by(session.accepted, self._opened.actor, (), source_name="camera")
            await self._socket.send_text(accepted_message(session.accepted))
            receiving = asyncio.create_task(self._receive(session), name="live frames")
            try:
                async with aclosing(session.answers(self._frames())) as answers:
                    async for answer in answers:
                        await self._send(answer)
            except (WebSocketDisconnect, RuntimeError):  # Starlette's error for sending to a socket that is closed
                if self._socket.client_state is WebSocketState.CONNECTED:
                    raise
                return "gone"
            finally:
                receiving.cancel()
                await asyncio.gather(receiving, *self._said, return_exceptions=True)
        if self._failure is not None:
            raise self._failure
        why = self._end or "finished"
        await _tell_end(self._socket, why)
        return why

    async def _size(self) -> FrameSize | None:
        opened = self._opened
        if opened.size_px is None:
            return None
        listed = [actor for actor in await self._client.actors() if actor.actor == opened.actor]
        wanted = [actor for actor in listed if actor.version == opened.version] or listed
        sizes = [size for actor in wanted[:1] for size in (actor.stage_size, *actor.smaller_sizes) if size is not None]
        try:
            return chosen_size(opened.actor, sizes, opened.size_px)
        except CommandError as error:
            raise Refused(400, "no_such_size", str(error)) from error

    async def _background(self) -> Background:
        if not self._opened.brings_background:
            return Background(colour=self._opened.colour)
        try:
            async with asyncio.timeout(_OPENING_SECONDS):
                data = await self._socket.receive_bytes()
        except (TimeoutError, KeyError) as error:
            raise Refused(
                400, "bad_background", "The background's picture did not follow the first message."
            ) from error
        return Background(picture=background_picture(data))

    async def _receive(self, session: ResumingSession) -> None:
        try:
            while True:
                async with asyncio.timeout(_SILENT_SECONDS):
                    message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    self._finish("gone")
                    break
                text, data = message.get("text"), message.get("bytes")
                if text == "end":
                    self._finish("finished")
                    break
                if data is not None:
                    self._take(frame_from(data))
                else:
                    await self._record(recording_wish(text or ""))
        except TimeoutError:
            self._failure = Refused(408, "page_silent", f"The page sent nothing for {_SILENT_SECONDS:.0f} s.")
            self._finish("failed")
        except Refused as refusal:
            self._failure = refusal
            self._finish("refused")
        except Exception as error:  # of any kind: a session that is not read any more would keep its place for good
            self._failure = error
            self._finish("failed")
        session.stop()

    def _take(self, frame: SentFrame) -> None:
        child(FRAMES, "pose" if isinstance(frame, PosedFrame) else "picture").inc()
        if len(self._waiting) == self._waiting.maxlen:
            SKIPPED.inc()
            self._arrived_s.pop(self._waiting[0].sequence, None)
        self._waiting.append(frame)
        self._arrived_s[frame.sequence] = time.perf_counter()
        self._changed.set()

    async def _record(self, recording_id: str | None) -> None:
        try:
            self._recorder = None if recording_id is None else self._find_recorder(recording_id)
            if self._recorder is not None:
                assert self._drawn is not None
                self._recorder.drawn_by(self._drawn)
        except Refused as refusal:  # after a restart, for example: the dance goes on
            self._recorder = None
            await self._say(json.dumps({"recording": refusal.word}))

    async def _frames(self) -> AsyncIterator[SentFrame]:
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._end:
                return
            self._changed.clear()
            await self._changed.wait()

    async def _send(self, answer: Answer) -> None:
        arrived_s = self._arrived_s.pop(answer.sequence, None)
        while self._arrived_s and next(iter(self._arrived_s)) < answer.sequence:
            self._arrived_s.popitem(last=False)  # lost with a connection: they get no answer
        gateway_ms = 0.0 if arrived_s is None else (time.perf_counter() - arrived_s) * 1e3
        await self._socket.send_bytes(answer_message(answer, gateway_ms))
        if self._recorder is None or answer.picture is None:
            return
        # Shown now: the page shows each picture when it arrives.
        if not self._recorder.append(answer.picture.data, time.monotonic()):
            self._recorder = None
            await self._say(json.dumps({"recording": "full"}))

    def _finish(self, why: str) -> None:
        self._end = self._end or why
        self._changed.set()

    def _tell_connection(self, failure: ServerError | None) -> None:
        said = {"connected": True} if failure is None else {"reconnecting": refused_by_server(failure).word}
        task = asyncio.create_task(self._say(json.dumps(said)), name="live news")
        self._said.add(task)
        task.add_done_callback(self._said.discard)

    async def _say(self, text: str) -> None:
        with suppress(WebSocketDisconnect, RuntimeError):
            await self._socket.send_text(text)


async def _first_text(socket: WebSocket) -> str:
    try:
        async with asyncio.timeout(_OPENING_SECONDS):
            return await socket.receive_text()
    except TimeoutError as error:
        raise Refused(408, "page_silent", f"The page sent no first message within {_OPENING_SECONDS:.0f} s.") from error
    except KeyError as error:
        raise Refused(400, "bad_message", "The first message must be text.") from error


async def _tell_end(socket: WebSocket, why: str) -> None:
    if why == "gone":
        return
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(json.dumps({"ended": why}))
    await _close(socket, _RESTARTING if why == "draining" else _NORMAL)


async def _refuse(socket: WebSocket, refusal: Refused) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        await socket.send_text(json.dumps({"refused": {"code": refusal.word, "text": str(refusal)}}))
    await _close(socket, _POLICY if refusal.status < 500 else _FAILED)


async def _close(socket: WebSocket, code: int) -> None:
    if WebSocketState.DISCONNECTED not in (socket.client_state, socket.application_state):
        with suppress(RuntimeError):
            await socket.close(code)
