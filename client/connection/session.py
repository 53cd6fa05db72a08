"""The client of `dance.v1.TransferService`: one class for a connection, one for a session, in our own types."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from contextlib import suppress
from typing import Any, Final

from dance.v1 import frame_pb2, pose_pb2, transfer_pb2, transfer_pb2_grpc
from grpc.aio import AioRpcError

from client.connection.server_access import ServerAccess
from client.connection.types import (
    Accepted,
    ActorListing,
    Answer,
    BodyFit,
    ListedWardrobe,
    PoseChoice,
    PosedFrame,
    Rung,
    SentFrame,
    TransferOptions,
)
from client.errors import ServerDraining, ServerError, server_errors
from motion.frame import FrameSize, NoPictureReason
from motion.pose_choice import PoseBackend
from serving.errors import BadInput
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
_LEAST_IN_FLIGHT: Final = 2
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

    async def actors(self) -> list[ActorListing]:
        """Return the actors, sorted by id, newest version first."""
        with server_errors(self.address):
            listed = await self._stub.ListActors(transfer_pb2.ListActorsRequest(), timeout=_CALL_SECONDS)
        return [
            ActorListing(
                actor.actor,
                actor.actor_version,
                _size(actor.stage_size),
                _size(actor.full_frame_size),
                actor.preset,
                actor.label_map_version,
                actor.unavailable,
                actor.served_percent,
                actor.size_bytes,
                _wardrobe(actor),
                actor.bare_warp,
                tuple(size for listed in actor.smaller_sizes if (size := _size(listed)) is not None),
            )
            for actor in listed.actors
        ]

    async def fit_body(self, frames: AsyncIterator[SentFrame], pose: PoseChoice = PoseChoice()) -> BodyFit:
        """Return the body stats of a whole clip.

        Raises ServerError, with status FAILED_PRECONDITION if the clip shows no whole body, and also if the server
        takes no frame, or sends no answer, for too long.
        """
        call = self._stub.FitBody()
        dancer = converters.dancer_choice_to_proto(pose.dancer)
        config = transfer_pb2.FitBodyConfig(pose_backend=_backend_to_proto(pose.backend), dancer=dancer)
        try:
            with server_errors(self.address):
                with suppress(asyncio.InvalidStateError):  # the call has ended: its status follows
                    await self._within(_ANSWER_SECONDS, call.write(transfer_pb2.FitBodyRequest(config=config)))
                    async for frame in frames:
                        request = transfer_pb2.FitBodyRequest(frame=_transfer_frame(frame))
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
                        await self._stream.send(transfer_pb2.TransferRequest(config=_config(self._options)))
                except TimeoutError as error:
                    reason = f"no connection within {self._connect_seconds:.0f} s"
                    raise ServerError(f"no server answers at {self._address} ({reason})", retryable=True) from error
                first = await self._next(self._accept_seconds)
                if first is None or first.WhichOneof("response") != "accepted":
                    raise ServerError(f"{self._address} did not accept the session and sent no error")
                self.accepted = _accepted(first.accepted, self._options)
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
                answer = _answer(response.answer) if kind == "answer" else None
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
                if not await self._stream.send(transfer_pb2.TransferRequest(frame=_transfer_frame(frame))):
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


def _backend_to_proto(backend: PoseBackend | None) -> pose_pb2.PoseBackend:
    """Return the enum value; None leaves the choice to the server."""
    return pose_pb2.POSE_BACKEND_UNSPECIFIED if backend is None else converters.BACKEND_TO_PROTO[backend]


def _config(options: TransferOptions) -> transfer_pb2.TransferConfig:
    transparent = options.background.transparent
    return transfer_pb2.TransferConfig(
        actor=options.actor,
        actor_version=options.actor_version,
        mode=transfer_pb2.TRANSFER_MODE_LIVE if options.live else transfer_pb2.TRANSFER_MODE_LOSSLESS,
        output=transfer_pb2.OutputFormat(
            encoding=frame_pb2.PICTURE_ENCODING_PNG if transparent else frame_pb2.PICTURE_ENCODING_JPEG,
            jpeg_quality=0 if transparent else options.jpeg_quality,
            full_frame=options.full_frame,
        ),
        source_body=None if options.source_body is None else converters.body_stats_to_proto(options.source_body),
        look_ahead_frames=options.look_ahead_frames,
        return_options=transfer_pb2.ReturnOptions(
            stage_times=True, label_map=options.label_maps, reference=options.references
        ),
        pose_detail=pose_pb2.POSE_DETAIL_UNSPECIFIED
        if options.detail is None
        else converters.DETAIL_TO_PROTO[options.detail],
        picture_size=None if options.picture_size is None else converters.frame_size_to_proto(options.picture_size),
        adaptive=options.adaptive,
        pose_backend=_backend_to_proto(options.pose.backend),
        dancer=converters.dancer_choice_to_proto(options.pose.dancer),
        frame_rate_hz=options.frame_rate_hz,
        checkpoint_every_frames=options.checkpoint_every_frames,
        checkpoint=options.checkpoint,
        background=converters.background_to_proto(options.background),
    )


def _accepted(message: transfer_pb2.TransferAccepted, options: TransferOptions) -> Accepted:
    size = message.full_frame_size if options.full_frame else message.stage_size
    config = message.config
    return Accepted(
        actor_version=config.actor_version,
        checkpoint_every_frames=config.checkpoint_every_frames,
        look_ahead_frames=config.look_ahead_frames,
        max_frames_in_flight=max(message.limits.max_frames_in_flight, config.look_ahead_frames + _LEAST_IN_FLIGHT),
        max_frame_side_px=message.limits.max_frame_side_px,
        picture_size=converters.frame_size_from_proto(size, field="accepted.stage_size"),
        server_version=message.server_version,
        generator_precision=message.generator_precision,
        references=config.return_options.reference,
        rungs=tuple(_rung(rung) for rung in message.rungs),
    )


def _rung(message: transfer_pb2.Rung) -> Rung:
    if message.pose_detail not in converters.DETAIL_FROM_PROTO:
        raise BadInput("accepted.rungs", f"has the unknown pose detail {message.pose_detail}")
    size = converters.frame_size_from_proto(message.picture_size, field="accepted.rungs.picture_size")
    return Rung(converters.DETAIL_FROM_PROTO[message.pose_detail], message.face_and_hands_every_n, size)


def _wardrobe(actor: transfer_pb2.ActorSummary) -> ListedWardrobe | None:
    shown = actor.wardrobe
    return ListedWardrobe(shown.key_frames, tuple(shown.facings)) if actor.HasField("wardrobe") else None


def _answer(message: transfer_pb2.TransferAnswer) -> Answer:
    picture = no_picture = None
    detail = ""
    if message.WhichOneof("result") == "picture":
        picture = converters.picture_from_proto(message.picture)
    elif message.WhichOneof("result") == "no_picture":
        name = transfer_pb2.NoPictureReason.Name(message.no_picture.reason).removeprefix("NO_PICTURE_REASON_")
        if name not in NoPictureReason.__members__:
            raise BadInput("answer.no_picture.reason", f"frame {message.sequence} has the unknown reason {name}")
        no_picture, detail = NoPictureReason[name], message.no_picture.detail
    else:
        raise BadInput("answer", f"frame {message.sequence} has neither a picture nor a reason")
    return Answer(
        message.sequence,
        picture,
        no_picture,
        detail,
        tuple(_remark_name(remark) for remark in message.remarks),
        converters.stage_times_from_proto(message.stage_times),
        converters.picture_from_proto(message.label_map, field="label_map") if message.HasField("label_map") else None,
        message.frame_seconds,
        message.checkpoint,
        converters.picture_from_proto(message.reference, field="reference") if message.HasField("reference") else None,
        message.rung,
    )


def _remark_name(remark: int) -> str:
    if remark not in transfer_pb2.FrameRemark.values():
        return f"remark {remark}"  # a newer server's remark: counted under its number
    return transfer_pb2.FrameRemark.Name(remark).removeprefix("FRAME_REMARK_").replace("_", " ").lower()


def _transfer_frame(frame: SentFrame) -> transfer_pb2.TransferFrame:
    message = transfer_pb2.TransferFrame(
        sequence=frame.sequence,
        captured_at=None if frame.captured_at_s is None else converters.seconds_to_proto(frame.captured_at_s),
    )
    if isinstance(frame, PosedFrame):
        given = message.client_pose
        given.size.CopyFrom(converters.frame_size_to_proto(frame.size))
        given.face_and_hands_carried = frame.face_and_hands_carried
        given.dancer_lost = frame.dancer_lost
        given.dancer_changed = frame.dancer_changed
        if frame.pose is not None:
            converters.fill_pose(given.pose, frame.pose)
    else:
        converters.fill_picture(message.picture, frame.picture)
    return message


def _size(message: Any) -> FrameSize | None:
    return FrameSize(message.width_px, message.height_px) if message.width_px and message.height_px else None
