"""The log records of one session, in the orchestrator and its stages."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from dance.v1 import face_pb2, face_pb2_grpc, normalize_pb2_grpc, pose_pb2_grpc
from tritonclient.grpc import service_pb2_grpc

from serving.observability import logs
from serving.rpc.call_context import SEQUENCE_METADATA, SESSION_METADATA, ContextInterceptor, session_of
from serving.rpc.channels import open_channel
from serving.rpc.server import SERVER_OPTIONS
from tests.pipeline.chain import Dancing, Stack, configured, dance, raw_frame, stack_of
from tests.pipeline.fake_stages import FakeFace, FakeNormalize, FakePose, FakeTriton


class Records(logging.Handler):
    """Keeps each record's message with its facts."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        named = {"message": record.getMessage(), "level": record.levelname, "session": logs.SESSION.get()}
        self.said.append({**named, **getattr(record, "facts", {})})

    def of(self, message: str) -> list[dict[str, Any]]:
        """Return all records with this message."""
        return [one for one in self.said if one["message"] == message]


@pytest.fixture
def records() -> Iterator[Records]:
    """All records at INFO and above."""
    handler, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


async def test_a_session_is_two_records(stack: Stack, records: Records):
    """The session opens with actor, mode and client, and ends with reason, frames and seconds; no record per frame."""
    await dance(stack.stub, configured(), *(raw_frame(t) for t in range(5)))
    ours = [one for one in records.said if one["session"]]
    assert [one["message"] for one in ours] == ["session opened", "session ended"]
    opened, ended = ours
    assert (opened["actor"], opened["actor_version"], opened["mode"]) == ("anna", 1, "lossless")
    assert (opened["client"], opened["peer"].rpartition(":")[0]) == ("anonymous", "ipv4:127.0.0.1")
    assert (ended["reason"], ended["frames"]) == ("finished", 5)
    assert ended["seconds"] > 0
    assert opened["session"] == ended["session"]


async def test_the_client_receives_the_session_id(stack: Stack, records: Records):
    """The session's id is in the initial metadata and in all of its records; another session has another id."""
    told = []
    for _ in range(2):
        dancing = Dancing(stack.stub)
        await dancing.send(configured())
        await dancing.accepted()
        told.append(await session_of(dancing.call))
        await dancing.rest()
    assert [one["session"] for one in records.of("session ended")] == told
    assert len({*told}) == 2


async def test_a_failed_stage_is_logged_once(stack: Stack, records: Records):
    """The record of the end, a warning, names stage and frame; the failure itself is only logged as retries."""
    stack.normalize.dies_at = 2
    dancing = Dancing(stack.stub)
    await dancing.send(configured(), *(raw_frame(t) for t in range(3)))
    await dancing.failure()
    (ended,) = records.of("session ended")
    assert (ended["level"], ended["reason"], ended["stage"], ended["sequence"]) == (
        "WARNING", "stage_failed", "normalize", 2,
    )  # fmt: skip
    assert "normalize fell over" in ended["error"]
    warnings = [one["message"] for one in records.said if one["level"] != "INFO"]
    assert warnings.count("session ended") == 1
    assert set(warnings) == {"stage is retried", "session ended"}


async def test_a_retry_is_logged(stack: Stack, records: Records):
    """A retry is logged as a warning with stage, frame and reason, under the session's id."""
    stack.triton.unloaded[1] = (grpc.StatusCode.NOT_FOUND, "unknown model")
    await dance(stack.stub, configured(), raw_frame(0), raw_frame(1))
    (again,) = records.of("stage is retried")
    assert (again["level"], again["stage"], again["sequence"]) == ("WARNING", "generator", 1)
    assert "unknown model" in again["reason"]
    assert again["session"] == records.of("session ended")[0]["session"]


async def test_a_refusal_is_logged_with_its_reason(stack: Stack, records: Records):
    """A session that was never accepted has an end and no beginning."""
    dancing = Dancing(stack.stub)
    await dancing.send(configured("nobody-we-know"))
    await dancing.failure()
    assert not records.of("session opened")
    (ended,) = records.of("session ended")
    assert (ended["level"], ended["reason"], ended["frames"]) == ("INFO", "refused", 0)


class Told:
    """The context of each stage's calls, by stage."""

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[str, int | None]]] = {}

    def note(self, stage: str) -> None:
        self.seen.setdefault(stage, []).append((logs.SESSION.get(), logs.SEQUENCE.get()))


@asynccontextmanager
async def overheard(told: Told) -> AsyncIterator[dict[str, str]]:
    """Stages that set their context from their calls, like ours; yields the settings that point to them."""

    class Pose(FakePose):
        async def Estimate(self, requests, context):  # noqa: N802
            told.note("pose")
            async for answer in super().Estimate(requests, context):
                yield answer

    class Normalize(FakeNormalize):
        async def Normalize(self, requests, context):  # noqa: N802
            told.note("normalize")
            async for answer in super().Normalize(requests, context):
                yield answer

    class Triton(FakeTriton):
        async def ModelInfer(self, request, context):  # noqa: N802
            told.note("triton")
            return await super().ModelInfer(request, context)

    class Face(FakeFace):
        async def Refine(self, request, context):  # noqa: N802
            told.note("face")
            return await super().Refine(request, context)

    adding = {
        "pose": (Pose(), pose_pb2_grpc.add_PoseServiceServicer_to_server),
        "normalize": (Normalize(), normalize_pb2_grpc.add_NormalizeServiceServicer_to_server),
        "triton": (Triton(), service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server),
        "face": (Face(), face_pb2_grpc.add_FaceServiceServicer_to_server),
    }
    server = grpc.aio.server(interceptors=[ContextInterceptor()], options=SERVER_OPTIONS)
    for servicer, add in adding.values():
        add(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield {f"{stage}_address": f"127.0.0.1:{port}" for stage in adding}
    finally:
        await server.stop(0)


async def test_stages_know_session_and_frame(stack: Stack, records: Records):
    """Streams carry the session, unary calls the frame as well, so a stage's own records have them."""
    told = Told()
    async with overheard(told) as addresses, stack_of(stack.actors_root, **addresses) as chain:
        await dance(chain.stub, configured(), *(raw_frame(t) for t in range(3)))
    session = records.of("session ended")[0]["session"]
    told.seen["face"].sort()  # several frames may be there at the same time
    assert told.seen == {
        "pose": [(session, None)],
        "normalize": [(session, None)],
        "triton": [(session, 0), (session, 1), (session, 2)],
        "face": [(session, 0), (session, 1), (session, 2)],
    }


@pytest.mark.parametrize("sent", ["two words", "x" * 65, 'a"b', ""])
async def test_a_strangers_session_id_is_passed_over(sent: str):
    """An invalid session id or frame number does not get into a stage's log."""
    told = Told()
    async with overheard(told) as addresses, open_channel(addresses["face_address"]) as channel:
        stub = face_pb2_grpc.FaceServiceStub(channel)
        await stub.Refine(face_pb2.RefineRequest(), metadata=((SESSION_METADATA, sent), (SEQUENCE_METADATA, "-1")))
    assert told.seen == {"face": [("", None)]}
