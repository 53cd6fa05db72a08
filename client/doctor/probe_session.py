"""The two frames that `dance doctor` sends through a running server: a pose, then an empty picture."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Final

import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client.connection.session import TransferSession
from client.connection.types import Answer, PosedFrame, SentFrame
from motion import skeleton
from motion.frame import Frame, FrameSize, PictureEncoding
from motion.pose import Pose
from serving.pictures.codec import encode_picture
from serving.rpc.channels import open_channel

_WIDTH_PX: Final = 640
_HEIGHT_PX: Final = 480
# BODY_25 of a person standing upright, in hundredths of the frame's height, from the middle of its lower edge.
_STANDING: Final = (
    (0, 80), (0, 70), (-9, 70), (-12, 57), (-13, 46), (9, 70), (12, 57), (13, 46), (0, 45), (-5, 45), (-5, 27), (-5, 8),
    (5, 45), (5, 27), (5, 8), (-2, 82), (2, 82), (-4, 81), (4, 81), (8, 5), (9, 5), (5, 6), (-8, 5), (-9, 5), (-5, 6),
)  # fmt: skip


async def health_of(address: str, *, within_seconds: float) -> str:
    """Return the status at a health port: "SERVING", "NOT_SERVING", ... Raises grpc.aio.AioRpcError."""
    async with open_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=within_seconds)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def probe(session: TransferSession) -> AsyncIterator[tuple[Answer, float]]:
    """Send the frames one after another; yield each answer, and the seconds from sending the frame to its answer.

    The first has the joints of a person standing upright, which exercise every stage except pose. The second is a grey
    picture, in which the pose stage finds no person.
    """
    answered = asyncio.Event()
    grey = encode_picture(np.full((_HEIGHT_PX, _WIDTH_PX, 3), 128, np.uint8), PictureEncoding.JPEG)

    async def frames() -> AsyncIterator[SentFrame]:
        yield PosedFrame(0, _standing(), FrameSize(_WIDTH_PX, _HEIGHT_PX))
        await answered.wait()
        yield Frame(1, grey)

    began_s = time.perf_counter()
    async with aclosing(session.answers(frames())) as answers:
        async for answer in answers:
            yield answer, time.perf_counter() - began_s
            began_s = time.perf_counter()
            answered.set()


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
