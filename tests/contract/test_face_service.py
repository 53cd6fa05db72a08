"""The face service over gRPC, with real networks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from itertools import count

import grpc
import grpc.aio
import numpy as np
import pytest
import pytest_asyncio
from dance.v1 import face_pb2, face_pb2_grpc, frame_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from motion.frame import Picture
from services.face.servicer import FaceService
from services.face.settings import FaceSettings
from serving.actors.store import Actor, ActorStore
from serving.rpc.channels import open_channel
from serving.rpc.server import running

pytestmark = pytest.mark.asyncio(loop_scope="module")

SIDE_PX = 32
PATIENCE_SECONDS = 60.0


@pytest.fixture(scope="module")
def settings(store: ActorStore) -> FaceSettings:
    """The settings of the service."""
    return FaceSettings(actors_root=store.root, threads=1, precision="f32", drain_seconds=1.0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def service(settings: FaceSettings, publish: Callable[..., Actor]) -> FaceService:
    """The service with the actors "kind" (bias 10), "stern" (bias 20) and "faceless"; `stub` runs it."""
    publish("kind", bias=10)
    publish("stern", bias=20)
    publish("faceless", face=False)
    return FaceService(settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stub(service: FaceService, settings: FaceSettings) -> AsyncIterator[face_pb2_grpc.FaceServiceStub]:
    """Run the service."""
    async with running(service, settings) as server:
        async with open_channel(f"127.0.0.1:{server.health_port}") as channel:
            health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert health.status == health_pb2.HealthCheckResponse.SERVING
        async with open_channel(f"127.0.0.1:{server.port}") as channel:
            yield face_pb2_grpc.FaceServiceStub(channel)


def noise(seed: int, side_px: int = SIDE_PX) -> Picture:
    """`[side_px, side_px, 3]` uint8."""
    return np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3)).astype(np.uint8)


def raw(pixels: Picture) -> frame_pb2.Picture:
    """The pixels as a message."""
    height_px, width_px = pixels.shape[:2]
    return frame_pb2.Picture(
        encoding=frame_pb2.PICTURE_ENCODING_RAW, width_px=width_px, height_px=height_px, data=pixels.tobytes()
    )


def request(actor: str, seed: int, *, version: int = 1, side_px: int = SIDE_PX) -> face_pb2.RefineRequest:
    """Return a request with the noise of `seed` as the face, and that of `seed + 100` as the label."""
    face, label = raw(noise(seed, side_px)), raw(noise(seed + 100, side_px))
    return face_pb2.RefineRequest(actor=actor, actor_version=version, face=face, label=label)


def right_answer(seed: int, bias: int) -> bytes:
    """Return what an actor with that bias makes of `request(..., seed)`."""
    return bytes(np.rint(0.5 * noise(seed + 100) + 0.25 * noise(seed) + bias).astype(np.uint8).tobytes())


async def code_of(call: grpc.aio.UnaryUnaryCall) -> tuple[grpc.StatusCode, str]:
    """Return the status and message of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await call
    return refusal.value.code(), refusal.value.details()


async def test_a_face_is_refined(stub):
    """A crop is refined by its actor's network; the answer has the time taken and the batch size."""
    answer = await stub.Refine(request("kind", 1))
    assert answer.face.data == right_answer(1, 10)
    assert (answer.face.width_px, answer.face.height_px) == (SIDE_PX, SIDE_PX)
    assert answer.face.encoding == frame_pb2.PICTURE_ENCODING_RAW
    assert answer.compute_seconds > 0
    assert answer.batch_size == 1


async def test_each_session_gets_its_own_face(stub, service, monkeypatch):
    """Concurrent sessions of two actors each get their own face, from their own actor, in shared batches."""
    wanted = [(("kind", 10) if seed % 2 else ("stern", 20), seed) for seed in range(24)]
    batcher, all_came, came = service._batcher, threading.Event(), count(1)
    submit = batcher.submit

    async def counted(network, crop):
        if next(came) == len(wanted):
            all_came.set()
        return await submit(network, crop)

    monkeypatch.setattr(batcher, "submit", counted)
    batcher.worker.submit(all_came.wait, PATIENCE_SECONDS)  # as a batch that runs meanwhile
    answers = await asyncio.gather(*(stub.Refine(request(actor, seed)) for (actor, _), seed in wanted))
    for ((_, bias), seed), answer in zip(wanted, answers, strict=True):
        assert answer.face.data == right_answer(seed, bias)
    assert max(answer.batch_size for answer in answers) > 1


async def test_an_actor_without_a_face_network_is_refused(stub):
    """An actor without a face network is reported as such, and must not be retried."""
    code, message = await code_of(stub.Refine(request("faceless", 1)))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "without a face network" in message


@pytest.mark.parametrize(("actor", "version"), [("nobody", 1), ("kind", 9)])
async def test_an_unknown_actor_or_version_is_not_found(stub, actor, version):
    """The error names the existing actors and versions."""
    code, _ = await code_of(stub.Refine(request(actor, 1, version=version)))
    assert code is grpc.StatusCode.NOT_FOUND


async def test_wrong_crops_are_refused_by_name(stub):
    """A wrong size, too few bytes, another encoding, a bad name and a missing version are refused, naming the field."""
    short = request("kind", 1)
    short.label.data = short.label.data[:-1]
    png = request("kind", 1)
    png.face.encoding = frame_pb2.PICTURE_ENCODING_PNG
    wrong = {
        "face: is 16x16": request("kind", 1, side_px=16),
        "label.data: ": short,
        "face.encoding: must be RAW": png,
        "actor: ": request("../kind", 1),
        "actor_version: ": request("kind", 1, version=0),
    }
    for expected, bad in wrong.items():
        code, message = await code_of(stub.Refine(bad))
        assert (code, message[: len(expected)]) == (grpc.StatusCode.INVALID_ARGUMENT, expected)


async def test_a_version_published_later_is_found(stub, publish: Callable[..., Actor]):
    """A new version is served as soon as a session requests it, beside the old one."""
    version = publish("kind", bias=30).version
    assert (await stub.Refine(request("kind", 5, version=version))).face.data == right_answer(5, 30)
    assert (await stub.Refine(request("kind", 5, version=1))).face.data == right_answer(5, 10)
