"""A transfer service with its own checkpoints, behind a connection that tests can cut or silence."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import grpc
import grpc.aio
from dance.v1 import actor_pb2, frame_pb2, normalize_pb2, transfer_pb2, transfer_pb2_grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from serving.errors import BadInput, StageUnavailable
from serving.rpc.error_status import ErrorInterceptor

SIDE_PX = 32
ACTOR_VERSION = 3

What = Literal[
    "nothing", "cut", "cut late", "fail", "drain", "wrong drain", "silent", "full", "refuse", "no checkpoints"
]


@dataclass(frozen=True)
class Mishap:
    """The failure of one session. at: the frame, or the next one, before ("cut late": after) its answer.

    "fail": the stage fails. "wrong drain": the drain skips a frame. "full", "refuse": at the opening; the latter
    refuses the checkpoint.
    """

    what: What
    at: int = 0


class Wire:
    """Forwards TCP from its own port to a server's, in both directions."""

    def __init__(self) -> None:
        self.port = 0
        self._silent = self._closed = False
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._carrying: set[asyncio.Task] = set()

    def cut(self) -> None:
        """Reset all connections; new ones are accepted."""
        for writer in self._writers:
            writer.transport.abort()

    def hush(self) -> None:
        """Drop every byte from now on without closing, like an unplugged cable."""
        self._silent = True

    async def start(self, server_port: int) -> None:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await reader.read(65536):
                    if not self._silent:
                        writer.write(data)
                        await writer.drain()
            writer.transport.abort()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._carrying.add(task)
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", server_port)
            self._writers |= {writer, inner_writer}
            if self._closed:
                self.cut()
            await asyncio.gather(carry(reader, inner_writer), carry(inner_reader, writer))
            self._writers -= {writer, inner_writer}

        self._server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        self._closed = True
        self.cut()
        await asyncio.gather(*self._carrying)


@dataclass
class Breakable(transfer_pb2_grpc.TransferServiceServicer):
    """Each picture depends on all earlier frames, which reveals an incorrect resume.

    mishaps: one per session, in order; later sessions have none, or the last one again if `always`. `seen` fields
    record the requests. parted: how many clients half-closed after a drain.
    """

    wire: Wire
    mishaps: deque[Mishap] = field(default_factory=deque)
    always: bool = False
    max_frames_in_flight: int = 4
    retry_seconds: float = 0.02
    seen_configs: list[transfer_pb2.TransferConfig] = field(default_factory=list)
    seen_sequences: list[list[int]] = field(default_factory=list)
    fitted_frames: list[int] = field(default_factory=list)
    fit_cut_at: deque[int] = field(default_factory=deque)
    parted: int = 0
    happened: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.wire.port}"

    async def ListActors(self, request, context):  # noqa: N802
        size = normalize_pb2.FrameSize(width_px=SIDE_PX, height_px=SIDE_PX)
        summary = actor_pb2.ActorSummary(
            actor="juggler", actor_version=ACTOR_VERSION, stage_size=size, full_frame_size=size
        )
        return transfer_pb2.ListActorsResponse(actors=[summary])

    async def FitBody(self, requests, context):  # noqa: N802
        cut_at = self.fit_cut_at.popleft() if self.fit_cut_at else None
        self.fitted_frames.append(0)
        async for request in requests:
            self.fitted_frames[-1] += request.WhichOneof("request") == "frame"
            if self.fitted_frames[-1] == cut_at:
                self.wire.cut()
                await asyncio.Event().wait()  # frames that arrived before the cut do not count; the call is cancelled
        body = normalize_pb2.BodyStats(
            near_ankle_y=0.9, far_ankle_y=0.6, near_height=0.7, far_height=0.4, hip_x=0.5, frames=12
        )
        return transfer_pb2.FitBodyResponse(body=body, frames=self.fitted_frames[-1])

    async def Transfer(self, requests, context):  # noqa: N802
        mishap = self._next_mishap()
        config = (await anext(aiter(requests))).config
        self.seen_configs.append(config)
        if mishap.what == "full":
            await self._refuse(context)
        if mishap.what == "refuse" and config.checkpoint:
            raise BadInput("config.checkpoint", "was made by another server")
        honoured = transfer_pb2.TransferConfig()
        honoured.CopyFrom(config)
        honoured.actor_version = ACTOR_VERSION
        size = normalize_pb2.FrameSize(width_px=SIDE_PX, height_px=SIDE_PX)
        limits = transfer_pb2.SessionLimits(max_frames_in_flight=self.max_frames_in_flight)
        accepted = transfer_pb2.TransferAccepted(config=honoured, limits=limits, stage_size=size, full_frame_size=size)
        yield transfer_pb2.TransferResponse(accepted=accepted)
        async for response in self._danced(requests, config, mishap):
            yield response

    async def _danced(self, requests, config, mishap):
        last, state = _opened(config.checkpoint)
        sequences: list[int] = []
        self.seen_sequences.append(sequences)
        answered, waiting = 0, deque()
        async for frame in _frames(requests, waiting, config.look_ahead_frames):
            live = config.mode == transfer_pb2.TRANSFER_MODE_LIVE
            if last is not None and (frame.sequence <= last if live else frame.sequence != last + 1):
                raise BadInput("frame.sequence", f"{frame.sequence} cannot come after {last}")
            sequences.append(frame.sequence)
            drain = transfer_pb2.Draining(checkpoint=_checkpoint(last, state), next_sequence=frame.sequence)
            if frame.sequence >= mishap.at:
                self.happened.set()
                if mishap.what == "cut":
                    self.wire.cut()
                    return
                if mishap.what == "fail":
                    raise StageUnavailable("pose", frame.sequence, "it died")
                if mishap.what == "silent":
                    await asyncio.Event().wait()
                if mishap.what in ("drain", "wrong drain"):
                    drain.next_sequence += mishap.what == "wrong drain"
                    yield transfer_pb2.TransferResponse(draining=drain)
                    async for _ in requests:
                        pass
                    self.parted += 1  # the contract requires clients to half-close
                    return
            sent = frame.picture.data or frame.client_pose.SerializeToString()
            last, state = frame.sequence, hashlib.sha256(state + sent).digest()
            answered += 1
            answer = transfer_pb2.TransferAnswer(sequence=last, picture=_picture(state))
            if config.checkpoint_every_frames and answered % config.checkpoint_every_frames == 0:
                answer.checkpoint = b"" if mishap.what == "no checkpoints" else _checkpoint(last, state)
            yield transfer_pb2.TransferResponse(answer=answer)
            if mishap == Mishap("cut late", last):
                self.happened.set()
                self.wire.cut()
                return

    def _next_mishap(self) -> Mishap:
        if not self.mishaps:
            return Mishap("nothing")
        return self.mishaps[0] if self.always and len(self.mishaps) == 1 else self.mishaps.popleft()

    async def _refuse(self, context: grpc.aio.ServicerContext) -> None:
        detail = AnyMessage()
        wait = Duration()
        wait.FromMicroseconds(round(self.retry_seconds * 1e6))
        detail.Pack(error_details_pb2.RetryInfo(retry_delay=wait))
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        status = rpc_status.to_status(status_pb2.Status(code=code.value[0], message="all are taken", details=[detail]))
        await context.abort(status.code, status.details, status.trailing_metadata)


async def _frames(requests, waiting: deque, look_ahead_frames: int) -> AsyncIterator[transfer_pb2.TransferFrame]:
    """Yield each frame once its look-ahead has arrived, or the requests have ended."""
    async for request in requests:
        waiting.append(request.frame)
        if len(waiting) > look_ahead_frames:
            yield waiting.popleft()
    while waiting:
        yield waiting.popleft()


def _checkpoint(last: int | None, state: bytes) -> bytes:
    return b"" if last is None else json.dumps([last, state.hex()]).encode()


def _opened(checkpoint: bytes) -> tuple[int | None, bytes]:
    if not checkpoint:
        return None, b""
    last, state = json.loads(checkpoint)
    return last, bytes.fromhex(state)


def _picture(state: bytes) -> frame_pb2.Picture:
    """Return a picture of one colour, which depends on the state."""
    data = bytes(state[:3]) * SIDE_PX**2
    return frame_pb2.Picture(encoding="PICTURE_ENCODING_RAW", width_px=SIDE_PX, height_px=SIDE_PX, data=data)


@asynccontextmanager
async def breakable(*mishaps: Mishap, **wanted) -> AsyncIterator[Breakable]:
    """Serve while the context lasts."""
    wire = Wire()
    service = Breakable(wire, deque(mishaps), **wanted)
    server = grpc.aio.server(interceptors=[ErrorInterceptor()])
    transfer_pb2_grpc.add_TransferServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        await wire.start(port)
        yield service
    finally:
        await wire.close()
        await server.stop(None)
