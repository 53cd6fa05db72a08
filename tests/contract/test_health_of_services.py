"""Each service's health reports the state of everything it depends on."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from dance.v1 import frame_pb2, pose_pb2, pose_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from motion.frame import PictureEncoding
from services.face.servicer import FaceService
from services.face.settings import FaceSettings
from services.normalize.servicer import NormalizeService
from services.normalize.settings import NormalizeSettings
from services.pose.estimator import Estimate
from services.pose.servicer import PoseService
from services.pose.settings import PoseSettings
from serving.actors.store import Actor, ActorStore
from serving.pictures.codec import encode_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from serving.rpc.health import Health, follow
from serving.rpc.server import RunningServer, ServerSettings, Service, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
PATIENCE_SECONDS = 60.0


class Watched:
    """A running service and its health."""

    def __init__(self, server: RunningServer, call: Any) -> None:
        self.server = server
        self._call = call

    async def becomes(self, status: int) -> None:
        """Wait for this status."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._call.read()).status != status:
                pass


@asynccontextmanager
async def watched(service: Service, settings: ServerSettings) -> AsyncIterator[Watched]:
    """The service, served."""
    async with (
        running(service, settings) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        request = health_pb2.HealthCheckRequest(service=service.full_names[0])
        yield Watched(server, health_pb2_grpc.HealthStub(channel).Watch(request))


class Estimator:
    """Finds no person, once it is released."""

    def __init__(self, may_look: threading.Event) -> None:
        self._may_look = may_look

    def estimate(self, picture: Any, time_s: float | None = None) -> Estimate:
        self._may_look.wait(PATIENCE_SECONDS)
        return Estimate([], -1, 0.001)

    def close(self) -> None:
        pass


async def test_pose_tells_of_an_estimator_that_hangs():
    """NOT_SERVING while an estimator spends too long on a picture; SERVING again when it is done."""
    may_look = threading.Event()
    settings = PoseSettings(watch_seconds=0.01, stuck_seconds=0.05, drain_seconds=0)
    try:
        async with watched(PoseService(settings, lambda *_: Estimator(may_look)), settings) as health:  # type: ignore[arg-type]
            await health.becomes(SERVING)
            async with open_channel(f"127.0.0.1:{health.server.port}") as channel:
                call = pose_pb2_grpc.PoseServiceStub(channel).Estimate()
                await call.write(pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig()))
                picture = encode_picture(np.zeros((64, 64, 3), np.uint8), PictureEncoding.RAW)
                frame = frame_pb2.Frame(sequence=0, picture=converters.picture_to_proto(picture))
                await call.write(pose_pb2.EstimateRequest(frame=frame))
                await health.becomes(NOT_SERVING)
                may_look.set()
                await health.becomes(SERVING)
                call.cancel()
    finally:
        may_look.set()


async def test_pose_tells_of_estimators_that_do_not_start():
    """NOT_SERVING after an estimator did not start, until one does: the service tries it without a stream."""
    may_look = threading.Event()
    may_look.set()
    fails = False

    def make(*_: Any) -> Any:
        if fails:
            raise RuntimeError("no memory for a graph")
        return Estimator(may_look)

    settings = PoseSettings(watch_seconds=0.01, drain_seconds=0)
    async with watched(PoseService(settings, make), settings) as health:
        await health.becomes(SERVING)
        fails = True
        async with open_channel(f"127.0.0.1:{health.server.port}") as channel:
            call = pose_pb2_grpc.PoseServiceStub(channel).Estimate()
            await call.write(pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig()))
            assert await call.code() is not grpc.StatusCode.OK
            await health.becomes(NOT_SERVING)
            fails = False
            await health.becomes(SERVING)
            call.cancel()


async def test_face_tells_of_an_engine_that_fails(
    store: ActorStore, publish: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch
):
    """NOT_SERVING while no network refines a blank face; SERVING when one does."""
    publish("kind", bias=10)
    settings = FaceSettings(
        actors_root=store.root, threads=1, precision="f32", drain_seconds=0, watch_seconds=0.01, canary_seconds=0.01
    )
    service = FaceService(settings)
    async with watched(service, settings) as health:
        await health.becomes(SERVING)
        (network,) = service._networks.networks()
        run_batch = network.engine.run_batch

        def broken(pairs: Any) -> Any:
            raise RuntimeError("the device is gone")

        monkeypatch.setattr(network.engine, "run_batch", broken, raising=False)
        await health.becomes(NOT_SERVING)
        monkeypatch.setattr(network.engine, "run_batch", run_batch)
        await health.becomes(SERVING)


async def test_face_tells_of_an_engine_that_hangs(
    store: ActorStore, publish: Callable[..., Actor], monkeypatch: pytest.MonkeyPatch
):
    """NOT_SERVING while a batch hangs, SERVING when it has returned."""
    publish("stern", bias=20)
    settings = FaceSettings(
        actors_root=store.root, threads=1, precision="f32", drain_seconds=0, watch_seconds=0.01, canary_seconds=0.01,
        stuck_seconds=0.1,
    )  # fmt: skip
    service, go_on = FaceService(settings), threading.Event()
    try:
        async with watched(service, settings) as health:
            await health.becomes(SERVING)
            for network in service._networks.networks():
                run_batch = network.engine.run_batch

                def held(pairs: Any, run_batch: Any = run_batch) -> Any:
                    go_on.wait(PATIENCE_SECONDS)
                    return run_batch(pairs)

                monkeypatch.setattr(network.engine, "run_batch", held, raising=False)
            await health.becomes(NOT_SERVING)
            go_on.set()
            await health.becomes(SERVING)
    finally:
        go_on.set()


async def test_normalize_serves_until_it_drains():
    """Normalize depends on nothing that could break: it is SERVING until its shutdown begins, and then NOT_SERVING."""
    settings = NormalizeSettings(drain_seconds=0)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(NormalizeService(settings), settings))
        ending = stack.pop_all()
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{server.health_port}"))
        request = health_pb2.HealthCheckRequest(service="dance.v1.NormalizeService")
        health = Watched(server, health_pb2_grpc.HealthStub(channel).Watch(request))
        try:
            await health.becomes(SERVING)
            told = asyncio.create_task(health.becomes(NOT_SERVING))
        finally:
            await ending.aclose()
        await told


async def test_a_failing_self_check_is_not_serving():
    """A service whose self-check fails is NOT_SERVING: health never repeats an old state."""
    own = Health(("example",))
    found = iter(("", RuntimeError("broken"), ""))
    said = []

    async def trouble() -> str:
        next_found = next(found, None)
        if next_found is None:
            raise asyncio.CancelledError
        if isinstance(next_found, Exception):
            raise next_found
        return next_found

    async def kept(serving: bool) -> None:
        said.append(serving)

    own.set = kept  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await follow(own, trouble, every_seconds=0)
    assert said == [True, False, True]
