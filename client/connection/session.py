"""The client of `dance.v1.TransferService`: one class for a connection, one for a session, in our own types."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any, Final

from dance.v1 import transfer_pb2, transfer_pb2_grpc
from grpc.aio import AioRpcError

from client.connection.messages import (
    accepted_from_proto,
    answer_from_proto,
    backend_to_proto,
    config_to_proto,
    frame_to_proto,
    listing_from_proto,
)
from client.connection.server_access import ServerAccess
from client.connection.types import (
    Accepted,
    ActorListing,
    Answer,
    BodyFit,
    PoseChoice,
    SentFrame,
    ServerListing,
    TransferOptions,
)
from client.errors import ServerDraining, ServerError, server_errors
from serving.rpc import converters
from serving.rpc.call_context import session_of
from serving.rpc.channels import open_channel
from serving.rpc.client_stream import ClientStream

_ACCEPT_SECONDS: Final = 180.0
"""The server may have to load the actor before it accepts a session."""
_ANSWER_SECONDS: Final = 60.0
CONNECT_SECONDS: Final = 20.0
_END_SECONDS: Final = 2.0
"""For the status of a server that drains, which it sends after we half-close."""
_CALL_SECONDS: Final = 30.0
_SESSION_ID_SECONDS: Final = 1.0
_FIT_SECONDS: Final = 180.0
"""After the last frame of a clip, the server still works on the frames in flight before it answers."""
_MOST_RECEIVED: Final = 8


class DanceClient:
    """A connection to an orchestrator; an async context manager. Every method raises ServerError.

    server: a plain address means plaintext, on this machine only. Raises UsageError, and BadSettings for bad files.
    """

    def __init__(self, server: ServerAccess | str) -> None:
        self.server = ServerAccess(server) if isinstance(server, str) else server
        self.address = self.server.address
        self._connect()

    def _connect(self) -> None:
        self._channel = open_channel(self.address, self.server.tls, may_use_proxy=True)
        stub = transfer_pb2_grpc.TransferServiceStub(self._channel)  # type: ignore[no-untyped-call]
        self._stub: Any = self.server.shown_by(stub)

    async def reconnect(self) -> None:
        """Replace the connection by a new one, which resolves the address again. Calls on the old one end."""
        await self._channel.close()
        self._connect()

    async def __aenter__(self) -> DanceClient:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._channel.close()

    async def actors(self, actor: str = "", version: int = 0, *, previews: bool = False) -> list[ActorListing]:
        """Return the actors, sorted by id, newest version first.

        actor, version: only the versions of this actor, only those with this number; "" and 0 for all. previews:
        request `ActorListing.preview`, which earlier servers do not have.
        """
        return (await self.listing(actor, version, previews=previews)).actors

    async def listing(self, actor: str = "", version: int = 0, *, previews: bool = False) -> ServerListing:
        """Return the actors as `actors` does, and what else the server lists."""
        request = transfer_pb2.ListActorsRequest(actor=actor, actor_version=version, previews=previews)
        with server_errors(self.address):
            listed = await self._stub.ListActors(request, timeout=_CALL_SECONDS)
            found = [listing_from_proto(summary) for summary in listed.actors]
        # Earlier servers ignore the filters.
        actors = [one for one in found if actor in ("", one.actor) and version in (0, one.version)]
        return ServerListing(actors, tuple(listed.watermark_key_ids))

    async def fit_body(self, frames: AsyncIterator[SentFrame], pose: PoseChoice = PoseChoice()) -> BodyFit:
        """Return the body stats of a whole clip.

        Raises ServerError, with status FAILED_PRECONDITION if the clip shows no whole body, and also if the server
        takes no frame, or sends no answer, for too long.
        """
        call = self._stub.FitBody()
        dancer = converters.dancer_choice_to_proto(pose.dancer)
        config = transfer_pb2.FitBodyConfig(pose_backend=backend_to_proto(pose.backend), dancer=dancer)
        try:
            with server_errors(self.address):
                with suppress(asyncio.InvalidStateError):  # the call has ended: its status follows
                    await self._within(_ANSWER_SECONDS, call.write(transfer_pb2.FitBodyRequest(config=config)))
                    async for frame in frames:
                        request = transfer_pb2.FitBodyRequest(frame=frame_to_proto(frame))
                        await self._within(_ANSWER_SECONDS, call.write(request))
                    await self._within(_ANSWER_SECONDS, call.done_writing())
                answer = await self._within(_FIT_SECONDS, call)
                body = converters.body_stats_from_proto(answer.body, field="body")
        finally:
            call.cancel()
        return BodyFit(body, answer.frames, answer.frames_with_person, answer.on_the_spot)

    async def _within(self, limit_seconds: float, step: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(limit_seconds):
                return await step
        except TimeoutError as error:
            raise _silent(self.address, limit_seconds) from error

    def transfer(
        self,
        options: TransferOptions,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        accept_seconds: float | None = None,
        answer_seconds: float | None = None,
    ) -> TransferSession:
        """Return a session; enter it to open it.

        connect_seconds: time limit for reaching the server. accept_seconds, answer_seconds: for its acceptance of the
        session, and for each answer.
        """
        return TransferSession(self._stub, self.address, options, connect_seconds, accept_seconds, answer_seconds)


class TransferSession:
    """One `Transfer` stream: frames in, one answer per frame out, in order.

        async with client.transfer(options) as session:
            async for answer in session.answers(frames):
                ...

    At most `accepted.max_frames_in_flight` frames are in flight. The next frame is taken from its source only when
    there is room, so a live source can supply its newest. A silent server ends the session; `ResumingSession` continues
    with a new one.
    """

    accepted: Accepted

    def __init__(
        self,
        stub: Any,
        address: str,
        options: TransferOptions,
        connect_seconds: float,
        accept_seconds: float | None,
        answer_seconds: float | None,
    ) -> None:
        self._stub = stub
        self._address = address
        self._options = options
        self._connect_seconds = connect_seconds
        self._accept_seconds = accept_seconds or _ACCEPT_SECONDS
        self._answer_seconds = answer_seconds or _ANSWER_SECONDS
        self._stream: ClientStream[transfer_pb2.TransferRequest, transfer_pb2.TransferResponse]
        self._source_failure: Exception | None = None
        self._under_way: deque[int] = deque()
        self._frames_ended = False
        self._unstoppable = self._parting = False
        self._sending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> TransferSession:
        self._stream = ClientStream(self._stub.Transfer(), depth=_MOST_RECEIVED, name="transfer")
        try:
            with server_errors(self._address):
                try:
                    async with asyncio.timeout(self._connect_seconds):
                        await self._stream.send(transfer_pb2.TransferRequest(config=config_to_proto(self._options)))
                except TimeoutError as error:
                    reason = f"no connection within {self._connect_seconds:.0f} s"
                    raise ServerError(f"no server answers at {self._address} ({reason})", retryable=True) from error
                first = await self._next(self._accept_seconds)
                if first is None or first.WhichOneof("response") != "accepted":
                    raise ServerError(f"{self._address} did not accept the session and sent no error")
                self.accepted = accepted_from_proto(first.accepted, self._options)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def answers(self, frames: AsyncIterator[SentFrame]) -> AsyncGenerator[Answer, None]:
        """Send `frames` and yield their answers. Call it once.

        Raises ServerError, ServerDraining when the server shuts down, and any error of `frames`.
        """
        room = asyncio.Semaphore(self.accepted.max_frames_in_flight)
        self._sending = sending = asyncio.create_task(self._send(frames, room), name="transfer frames")
        answered, last = 0, -1
        with server_errors(self._address):
            while (response := await self._next(self._answer_seconds)) is not None:
                kind = response.WhichOneof("response")
                if kind == "draining":
                    raise await self._drained(response.draining, last, sending)
                answer = answer_from_proto(response.answer) if kind == "answer" else None
                if answer is None or not self._under_way or answer.sequence != self._under_way[0]:
                    raise ServerError(f"{self._address} broke the contract: {kind} out of turn after {answered} frames")
                self._under_way.popleft()
                room.release()
                answered, last = answered + 1, answer.sequence
                yield answer
        if self._under_way:
            raise ServerError(f"{self._address} ended the session and owes {len(self._under_way)} answers")
        if not self._frames_ended:
            raise ServerError(f"{self._address} ended the session after {answered} frames, before their end")

    async def _drained(self, draining: transfer_pb2.Draining, last: int, sending: asyncio.Task[None]) -> ServerError:
        """Half-close, which a draining server waits for. Returns the error to raise once the stream has ended."""
        next_sequence = draining.next_sequence
        if next_sequence <= last or (self._under_way and next_sequence > self._under_way[0]):
            said = f"it wants frame {next_sequence} next, after the answer to frame {last}"
            return ServerError(f"{self._address} broke the contract: {said}")
        self._parting = True
        if not self._unstoppable:
            sending.cancel()
        with suppress(Exception):  # however the call ends now, `draining` was the server's last message
            async with asyncio.timeout(_END_SECONDS):
                await asyncio.wait({sending})
                await self._stream.half_close()
                while await self._stream.receive() is not None:
                    pass
        return ServerDraining(f"{self._address} is shutting down", draining.checkpoint, next_sequence)

    async def _send(self, frames: AsyncIterator[SentFrame], room: asyncio.Semaphore) -> None:
        try:
            while not self._parting:
                await room.acquire()
                try:
                    frame = await anext(frames)
                except StopAsyncIteration:
                    # Set it before half-closing: the session may end before this task continues.
                    self._frames_ended = True
                    break
                self._under_way.append(frame.sequence)
                self._unstoppable = True  # cancelling a write ends the call
                if not await self._stream.send(transfer_pb2.TransferRequest(frame=frame_to_proto(frame))):
                    return
                self._unstoppable = False
            self._unstoppable = True
            await self._stream.half_close()
        except Exception as error:  # of the source: `answers` must raise it
            self._source_failure = error
            self._stream.fail(error)

    async def _next(self, limit_seconds: float) -> transfer_pb2.TransferResponse | None:
        while True:
            try:
                return await self._stream.receive(limit_seconds)
            except TimeoutError as error:
                if error is self._source_failure:
                    raise
                # With a look-ahead the server has to wait for more frames, which a slow camera may not have yet.
                waiting = hasattr(self, "accepted") and not self._frames_ended
                if waiting and len(self._under_way) <= self.accepted.look_ahead_frames:
                    continue
                raise _silent(self._address, limit_seconds) from error

    async def session_id(self) -> str:
        """Return the id of this session in the server's logs, or "" if the server sent none."""
        try:
            return await asyncio.wait_for(session_of(self._stream.call), _SESSION_ID_SECONDS)
        except (AioRpcError, TimeoutError):
            return ""

    async def close(self) -> None:
        """End the stream and its tasks at once. Frames in flight get no answer."""
        if self._sending is not None:
            self._sending.cancel()  # before any await, which a second cancellation may interrupt
        await self._stream.close()
        if self._sending is not None:
            await asyncio.gather(self._sending, return_exceptions=True)


def _silent(address: str, limit_seconds: float) -> ServerError:
    return ServerError(f"{address} has been silent for {limit_seconds:.0f} s", retryable=True)
