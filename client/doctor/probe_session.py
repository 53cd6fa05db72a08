"""Two frames through a running server, as `dance doctor` sends them: a pose, then a picture of nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import grpc.aio
import numpy as np
from dance.v1 import normalize_pb2, transfer_pb2, transfer_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client.connection.server_access import ServerAccess
from client.connection.types import ActorListing
from client.errors import ServerError
from motion import skeleton
from motion.frame import PictureEncoding, StageTime
from motion.pose import Pose
from serving.pictures.codec import encode_picture
from serving.rpc import converters
from serving.rpc.call_context import session_of
from serving.rpc.channels import open_channel

_WIDTH_PX: Final = 640
_HEIGHT_PX: Final = 480
# BODY_25 of somebody who stands upright, in hundredths of the frame's height, from the middle of its lower edge.
_STANDING: Final = (
    (0, 80), (0, 70), (-9, 70), (-12, 57), (-13, 46), (9, 70), (12, 57), (13, 46), (0, 45), (-5, 45), (-5, 27), (-5, 8),
    (5, 45), (5, 27), (5, 8), (-2, 82), (2, 82), (-4, 81), (4, 81), (8, 5), (9, 5), (5, 6), (-8, 5), (-9, 5), (-5, 6),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProbeAnswer:
    """What came of one frame. result: "picture", or why there is none. seconds: from its sending to its answer."""

    result: str
    detail: str
    seconds: float
    stage_times: tuple[StageTime, ...]


async def health_of(address: str, *, within_seconds: float) -> str:
    """What `grpc.health.v1` says at a health port: "SERVING", "NOT_SERVING", ... Raises grpc.aio.AioRpcError."""
    async with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=within_seconds)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


class ProbeSession:
    """One `Transfer` stream for the probe's frames. Every method raises grpc.aio.AioRpcError, or ServerError."""

    def __init__(
        self, channel: grpc.aio.Channel, server: ServerAccess, *, accept_seconds: float, answer_seconds: float
    ) -> None:
        stub: Any = server.shown_by(transfer_pb2_grpc.TransferServiceStub(channel))  # type: ignore[no-untyped-call]
        self._call = stub.Transfer()
        self._accept_seconds = accept_seconds
        self._answer_seconds = answer_seconds
        self.server_version = ""
        self.precision = ""

    async def open(self, actor: ActorListing) -> float:
        """Opens the session; returns the seconds that took, an actor's loading included."""
        began_s = time.perf_counter()
        config = transfer_pb2.TransferConfig(
            actor=actor.actor,
            actor_version=actor.version,
            frame_rate_hz=25.0,
            return_options=transfer_pb2.ReturnOptions(stage_times=True),
        )
        await self._write(transfer_pb2.TransferRequest(config=config))
        accepted = (await self._next(self._accept_seconds)).accepted
        self.server_version = accepted.server_version
        self.precision = accepted.generator_precision
        return time.perf_counter() - began_s

    async def pose_frame(self) -> ProbeAnswer:
        """The answer to somebody who stands upright, sent as joints: everything but the pose stage works on it."""
        given = transfer_pb2.ClientPose(
            pose=converters.pose_to_proto(_standing()),
            size=normalize_pb2.FrameSize(width_px=_WIDTH_PX, height_px=_HEIGHT_PX),
        )
        return await self._answer(transfer_pb2.TransferFrame(sequence=0, client_pose=given))

    async def picture_frame(self) -> ProbeAnswer:
        """The answer to a grey picture: the pose stage looks at it, and sees nobody."""
        grey = np.full((_HEIGHT_PX, _WIDTH_PX, 3), 128, np.uint8)
        picture = converters.picture_to_proto(encode_picture(grey, PictureEncoding.JPEG))
        return await self._answer(transfer_pb2.TransferFrame(sequence=1, picture=picture))

    async def session(self) -> str:
        """The id under which the server's logs tell of this session; empty where it told none."""
        try:
            return str(await self._within(1.0, session_of(self._call)))
        except (grpc.aio.AioRpcError, ServerError):
            return ""

    async def close(self) -> None:
        """Ends the session in order."""
        try:
            await self._within(1.0, self._call.done_writing())
            await self._within(1.0, self._call.read())
        except (grpc.aio.AioRpcError, ServerError, asyncio.InvalidStateError):
            pass  # whatever went wrong has been told before
        finally:
            self._call.cancel()

    async def _answer(self, frame: transfer_pb2.TransferFrame) -> ProbeAnswer:
        began_s = time.perf_counter()
        await self._write(transfer_pb2.TransferRequest(frame=frame))
        answer = (await self._next(self._answer_seconds)).answer
        seconds = time.perf_counter() - began_s
        result, detail = "picture", ""
        if answer.WhichOneof("result") != "picture":
            name = transfer_pb2.NoPictureReason.Name(answer.no_picture.reason)
            result, detail = name.removeprefix("NO_PICTURE_REASON_").replace("_", " ").lower(), answer.no_picture.detail
        times = tuple(
            StageTime(time.stage, time.compute_seconds, time.queue_seconds, time.total_seconds)
            for time in answer.stage_times
        )
        return ProbeAnswer(result, detail, seconds, times)

    async def _write(self, request: transfer_pb2.TransferRequest) -> None:
        with suppress(asyncio.InvalidStateError):  # the call has ended already: its status is what `_next` raises
            await self._within(self._answer_seconds, self._call.write(request))

    async def _next(self, limit_seconds: float) -> transfer_pb2.TransferResponse:
        response: Any = await self._within(limit_seconds, self._call.read())
        if response is grpc.aio.EOF:
            raise ServerError("the server ended the session without an answer, and does not say why")
        answer: transfer_pb2.TransferResponse = response
        return answer

    async def _within(self, limit_seconds: float, step: Awaitable[Any]) -> Any:
        # Not cancelled by the limit: a read that is cancelled leaks in grpcio. It ends with the call.
        task = asyncio.ensure_future(step)
        done, _ = await asyncio.wait({task}, timeout=limit_seconds)
        if not done:
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise ServerError(f"the server said nothing for {limit_seconds:g} s")
        return task.result()


def _standing() -> Pose:
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    body = np.array(_STANDING, np.float32) / 100 * _HEIGHT_PX
    joints_px[skeleton.BODY, 0] = _WIDTH_PX / 2 + body[:, 0]
    joints_px[skeleton.BODY, 1] = _HEIGHT_PX - body[:, 1]
    angles = np.linspace(0, 2 * np.pi, skeleton.FACE_COUNT, endpoint=False)
    radius_px = 0.04 * _HEIGHT_PX
    nose_px = joints_px[skeleton.NOSE]
    joints_px[skeleton.FACE] = nose_px + radius_px * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    confidence[skeleton.BODY] = confidence[skeleton.FACE] = 0.9
    return Pose(joints_px, confidence)
