"""Every number from a client is either danced or refused by name, once: no retries, no traceback in any log."""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import normalize_pb2, transfer_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from motion import skeleton
from motion.clock import MOST_NUMBERED_FRAMES
from motion.pose import MAX_POSITION_PX, Pose
from services.normalize.servicer import NormalizeService
from services.normalize.settings import NormalizeSettings
from serving.observability import metrics
from serving.rpc import converters
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.server import SERVER_OPTIONS
from tests.pipeline.chain import Dancing, Stack, configured, dance, pose_frame, publish_actor, stack_of
from tests.pipeline.fake_stages import person

STAGES = ("pose", "normalize", "generator", "face")
LAST_SECOND = 253_402_300_799


class Tracebacks(logging.Handler):
    """Keeps log records with an exception or at level ERROR."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or record.levelno >= logging.WARNING:
            self.said.append(record.getMessage())


class CountedNormalize(NormalizeService):
    """The real service; it counts streams, because each attempt opens one."""

    streams = 0

    async def Normalize(self, requests: Any, context: Any) -> None:  # noqa: N802
        self.streams += 1
        await super().Normalize(requests, context)


@pytest.fixture
def tracebacks() -> Iterator[Tracebacks]:
    """The logs of all processes, which are one process here."""
    gc.collect()  # reports about earlier tests' leftovers would appear now: "Task was destroyed but it is pending!"
    handler = Tracebacks()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@asynccontextmanager
async def normalizing(tmp_path: Path) -> AsyncIterator[tuple[Stack, CountedNormalize]]:
    """An orchestrator with the real normalisation service; the other stages are fakes."""
    publish_actor(tmp_path, "ben", face=False)
    service = CountedNormalize(NormalizeSettings())
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with stack_of(tmp_path, normalize_address=f"127.0.0.1:{port}") as stack:
            yield stack, service
    finally:
        await server.stop(0)
        await service.close()


def retries() -> float:
    return sum(metrics.STAGE_RETRIES.labels(stage)._value.get() for stage in STAGES)


def stretched(**joints_px: tuple[float, float]) -> Pose:
    """A person with some joints, by their names in `skeleton`, at other positions."""
    pose = person()
    places = pose.joints_px.copy()
    for name, place in joints_px.items():
        places[getattr(skeleton, name)] = place
    return Pose(places, pose.confidence)


def sized(request: transfer_pb2.TransferRequest, width_px: int, height_px: int) -> transfer_pb2.TransferRequest:
    size = request.frame.client_pose.size
    size.width_px, size.height_px = width_px, height_px
    return request


def timed(sequence: int, seconds: int, nanos: int = 0) -> transfer_pb2.TransferRequest:
    request = pose_frame(sequence, person(30.0 + sequence % 3))
    request.frame.captured_at.CopyFrom(Timestamp(seconds=seconds, nanos=nanos))
    return request


def body(**changes: float) -> normalize_pb2.BodyStats:
    usual: dict[str, Any] = {
        "near_ankle_y": 0.9, "far_ankle_y": 0.8, "near_height": 0.5, "far_height": 0.4, "hip_x": 0.5, "frames": 10,
    }  # fmt: skip
    return normalize_pb2.BodyStats(**{**usual, **changes})


SMALL = body(near_height=1e-3, far_height=1e-3, near_ankle_y=10, far_ankle_y=-10, hip_x=-10, frames=2**32 - 1)
LARGE = body(near_height=10, far_height=10, near_ankle_y=10, far_ankle_y=10)


@pytest.mark.parametrize(
    ("fields", "frames"),
    [
        ({}, [pose_frame(MOST_NUMBERED_FRAMES - n, person(30.0 + n)) for n in (3, 2, 1)]),
        ({"frame_rate_hz": 1000.0}, [pose_frame(MOST_NUMBERED_FRAMES - n, person(30.0 + n)) for n in (2, 1)]),
        ({"frame_rate_hz": 0.001}, [pose_frame(n, person()) for n in (0, 1, MOST_NUMBERED_FRAMES - 1)]),
        ({"frame_rate_hz": 0.0}, [timed(2**53, 1), timed(2**53 + 1, 1, 1), timed(2**64 - 1, 1, 2)]),
        ({"frame_rate_hz": 0.0}, [timed(0, LAST_SECOND, 999_999_999), timed(1, LAST_SECOND, 999_999_999)]),
        ({"frame_rate_hz": 0.0}, [timed(0, -62_135_596_800), timed(1, LAST_SECOND), timed(2, 0)]),
        ({"frame_rate_hz": -0.0}, [timed(0, 1)]),
        ({}, [pose_frame(0, stretched(NOSE=(0, -1e6))), pose_frame(1, stretched(L_WRIST=(1e6, -1e6)))]),
        ({"source_body": SMALL}, [pose_frame(0, stretched(L_WRIST=(1e6, 1e6))), pose_frame(1, person())]),
        ({"source_body": LARGE}, [pose_frame(0, stretched(R_ANKLE=(-1e6, 1e6)))]),
        ({"source_body": SMALL}, [sized(pose_frame(n, stretched(NOSE=(1e6, 1e6))), 65_536, 1) for n in (0, 1)]),
        ({"source_body": SMALL}, [sized(pose_frame(n, stretched(NOSE=(1e6, 1e6))), 1, 65_536) for n in (0, 1)]),
        ({"look_ahead_frames": 30}, [pose_frame(n, stretched(L_WRIST=(1e6 * (-1) ** n, 0))) for n in range(9)]),
        ({"checkpoint_every_frames": 2**32 - 1}, [pose_frame(0, person())]),
    ],
    ids=["last number", "last at 1000 Hz", "slowest rate", "any number", "year 9999", "from year 1", "minus zero",
         "far joints", "small source", "large source", "flat frame", "narrow frame", "look-ahead", "rare checkpoint"],
)  # fmt: skip
async def test_numbers_within_the_bounds_are_danced(
    tmp_path: Path, tracebacks: Tracebacks, fields: dict[str, Any], frames: list[transfer_pb2.TransferRequest]
) -> None:
    """At the very bounds every frame gets its picture, and its joints lie within the bound on positions."""
    before = retries()
    options = transfer_pb2.ReturnOptions(normalized_pose=True)
    async with normalizing(tmp_path) as (stack, normalize):
        _, answers = await dance(stack.stub, configured("ben", return_options=options, **fields), *frames)
    assert [answer.sequence for answer in answers] == [request.frame.sequence for request in frames]
    for answer in answers:
        assert answer.WhichOneof("result") == "picture", answer.no_picture
        joints_px = converters.pose_from_proto(answer.normalized_pose).joints_px
        outside = (np.abs(joints_px) == MAX_POSITION_PX).any()
        assert not outside or transfer_pb2.FRAME_REMARK_OUT_OF_STAGE in answer.remarks
    assert (normalize.streams, retries() - before, tracebacks.said) == (1, 0, [])


@pytest.mark.parametrize(
    ("fields", "frames", "named"),
    [
        ({"frame_rate_hz": 1e-300}, [], "config.frame_rate_hz"),
        ({"frame_rate_hz": 5e-324}, [], "config.frame_rate_hz"),
        ({"frame_rate_hz": 9e-4}, [], "config.frame_rate_hz"),
        ({"frame_rate_hz": 1000.5}, [], "config.frame_rate_hz"),
        ({"frame_rate_hz": float("inf")}, [], "config.frame_rate_hz"),
        ({"source_body": body(near_height=1e-300)}, [], "config.source_body"),
        ({"source_body": body(hip_x=float("nan"))}, [], "config.source_body"),
        ({}, [pose_frame(2**53 + n, person()) for n in (0, 1)], "frame.sequence"),
        ({}, [pose_frame(MOST_NUMBERED_FRAMES, person())], "frame.sequence"),
        ({}, [pose_frame(2**64 - 1, person())], "frame.sequence"),
        ({"frame_rate_hz": 0.0}, [timed(1, LAST_SECOND + 1)], "frame.captured_at"),
        ({}, [sized(pose_frame(1, person()), 65_537, 1)], "frame.client_pose.size"),
        ({}, [sized(pose_frame(1, person()), 64, 2**32 - 1)], "frame.client_pose.size"),
    ],
)
async def test_numbers_beyond_the_bounds_are_refused_once(
    tmp_path: Path,
    tracebacks: Tracebacks,
    fields: dict[str, Any],
    frames: list[transfer_pb2.TransferRequest],
    named: str,
) -> None:
    """INVALID_ARGUMENT with the field in a BadRequest, after the earlier frames; no stage is called twice."""
    before = retries()
    good = [] if named.startswith("config") else [timed(0, 0)]
    async with normalizing(tmp_path) as (stack, normalize):
        dancing = Dancing(stack.stub)
        await dancing.send(configured("ben", **fields), *good, *frames)
        responses, error = await dancing.failure()
    assert len(responses) == (2 if good else 0)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    detail = error_details_pb2.BadRequest()
    assert rpc_status.from_call(error).details[0].Unpack(detail)
    assert [violation.field for violation in detail.field_violations] == [named]
    assert (normalize.streams, retries() - before, tracebacks.said) == (len(good), 0, [])


async def test_fit_body_takes_far_bodies_and_refuses_late_numbers(tmp_path: Path, tracebacks: Tracebacks) -> None:
    """The stats of a body a million pixels tall are clamped to the tallest allowed; the number 2^48 is refused."""

    async def fitted(*frames: transfer_pb2.TransferRequest) -> transfer_pb2.FitBodyResponse:
        first = transfer_pb2.FitBodyRequest(config=transfer_pb2.FitBodyConfig())
        return await stack.stub.FitBody(
            iter([first, *(transfer_pb2.FitBodyRequest(frame=request.frame) for request in frames)])
        )

    async with normalizing(tmp_path) as (stack, _):
        fit = await fitted(*(sized(pose_frame(n, stretched(NOSE=(0, -1e6))), 1, 1) for n in range(3)))
        assert converters.body_stats_from_proto(fit.body, field="body").near_height == 10
        with pytest.raises(grpc.aio.AioRpcError, match=r"frame\.sequence: must be below 2\^48"):
            await fitted(pose_frame(MOST_NUMBERED_FRAMES, person()))
    assert tracebacks.said == []


async def test_a_session_with_late_numbers_resumes_from_its_checkpoint(tmp_path: Path) -> None:
    """Sequences at the bound survive a checkpoint: the next one is accepted, an earlier one is refused."""
    numbers = [MOST_NUMBERED_FRAMES - n for n in (4, 3, 2, 1)]
    async with normalizing(tmp_path) as (stack, _):
        first = configured("ben", checkpoint_every_frames=1)
        _, answers = await dance(stack.stub, first, *(pose_frame(n, person()) for n in numbers[:2]))
        again = configured("ben", checkpoint=answers[-1].checkpoint)
        _, rest = await dance(stack.stub, again, *(pose_frame(n, person()) for n in numbers[2:]))
    assert [answer.sequence for answer in itertools.chain(answers, rest)] == numbers
    assert all(answer.WhichOneof("result") == "picture" for answer in rest)
