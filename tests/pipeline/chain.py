"""A running orchestrator with fake stages, and a client of it."""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import (
    agent_pb2_grpc,
    face_pb2_grpc,
    frame_pb2,
    normalize_pb2,
    normalize_pb2_grpc,
    pose_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from tritonclient.grpc import service_pb2_grpc

from motion.body import BodyStats
from motion.crop import Crop
from motion.face_region import FaceRule
from motion.frame import FrameSize, Picture
from motion.labelmap import LABEL_MAP_VERSION
from motion.pose import Pose
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.storage import write_wardrobe
from orchestrator.servicer import TransferService
from orchestrator.settings import OrchestratorSettings
from serving.actors.consent import ConsentRecord
from serving.actors.store import Actor, ActorStore, NetworkShape, WardrobeFacts
from serving.observability import metrics
from serving.rpc import converters
from serving.rpc.channels import open_channel
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.server import SERVER_OPTIONS
from tests.pipeline.fake_stages import (
    PATIENCE_SECONDS,
    SIDE_PX,
    FakeAgent,
    FakeFace,
    FakeNormalize,
    FakePose,
    FakeTriton,
)


def publish_actor(
    root: Path,
    actor_id: str,
    *,
    face: bool = True,
    label_map_version: int = LABEL_MAP_VERSION,
    size: FrameSize = FrameSize(96, 80),
    drawn_px: int = SIDE_PX,
    wardrobe: Wardrobe | None = None,
    consent: ConsentRecord | None = None,
) -> Actor:
    """An actor with footage of this size, and a crop of 64 x 64 in its upper left corner.

    drawn_px: the side at which the network draws that crop. wardrobe: for a reference, of that side.
    consent: None for one that is stated, and never ends.
    """
    root.mkdir(parents=True, exist_ok=True)
    weights, plate = root / ".weights", root / ".plate.png"
    weights.write_bytes(b"not a network; the stages are fakes")
    cv2.imwrite(str(plate), np.full((size.height_px, size.width_px, 3), 200, np.uint8))
    shape = NetworkShape(base_channels=4, downsamplings=1, blocks=1)
    actor = Actor(
        id=actor_id,
        version=0,
        folder=root,
        label_map_version=label_map_version,
        crop=Crop(0, 0, SIDE_PX, SIDE_PX, drawn_px, drawn_px),
        frame_size=size,
        frame_rate_hz=25.0,
        body=BodyStats(near_ankle_y=0.9, far_ankle_y=0.7, near_height=0.6, far_height=0.5, hip_x=0.5, frames=100),
        face_rule=FaceRule(side_per_face_size=1.5, min_side_px=8, crop_px=16),
        generator=replace(shape, reference=wardrobe is not None),
        face=shape if face else None,
        preset="test",
        consent=ConsentRecord.of_text("not needed: drawn by a test") if consent is None else consent,
        wardrobe=None if wardrobe is None else WardrobeFacts.of(wardrobe),
    )
    files = {"generator.onnx": weights, "plate.png": plate, **({"face.onnx": weights} if face else {})}
    if wardrobe is not None:
        files["wardrobe.npz"] = root / ".wardrobe.npz"
        write_wardrobe(files["wardrobe.npz"], wardrobe)
    return ActorStore(root).publish(actor, files)


@dataclass
class Stack:
    """A running orchestrator and its fake stages."""

    service: TransferService
    settings: OrchestratorSettings
    stub: transfer_pb2_grpc.TransferServiceStub
    actors_root: Path
    address: str
    pose: FakePose = field(default_factory=FakePose)
    normalize: FakeNormalize = field(default_factory=FakeNormalize)
    triton: FakeTriton = field(default_factory=FakeTriton)
    face: FakeFace = field(default_factory=FakeFace)
    agent: FakeAgent = field(default_factory=FakeAgent)
    stage_addresses: dict[str, str] = field(default_factory=dict)
    """The real addresses of the stages, whatever the orchestrator's settings say."""
    server: grpc.aio.Server | None = None
    """The orchestrator's server, for a test that stops it early."""


@asynccontextmanager
async def stack_of(actors_root: Path, **settings: Any) -> AsyncIterator[Stack]:
    """An orchestrator and its stages, each on its own port; all stop with the context."""
    fakes = (FakePose(), FakeNormalize(), FakeTriton(), FakeFace(), FakeAgent())
    register = (
        pose_pb2_grpc.add_PoseServiceServicer_to_server,
        normalize_pb2_grpc.add_NormalizeServiceServicer_to_server,
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server,
        face_pb2_grpc.add_FaceServiceServicer_to_server,
        agent_pb2_grpc.add_GeneratorAgentServiceServicer_to_server,
    )
    async with AsyncExitStack() as stack:
        ports = []
        for fake, add in zip(fakes, register, strict=True):
            server = grpc.aio.server(options=SERVER_OPTIONS)
            add(fake, server)
            ports.append(server.add_insecure_port("127.0.0.1:0"))
            await server.start()
            stack.push_async_callback(server.stop, 0)
        pose, normalize, triton, face, agent = (f"127.0.0.1:{port}" for port in ports)
        base = OrchestratorSettings(
            pose_address=pose,
            normalize_address=normalize,
            triton_address=triton,
            face_address=face,
            agent_address=agent,
            actors_root=actors_root,
            away_seconds=0.2,
        )
        chosen = replace(base, **settings)
        service = TransferService(chosen)
        stack.push_async_callback(service.close)
        server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
        service.register(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, 0)
        channel = open_channel(f"127.0.0.1:{port}")
        await stack.enter_async_context(channel)
        stub = transfer_pb2_grpc.TransferServiceStub(channel)
        stages = {"pose": pose, "normalize": normalize, "triton": triton, "face": face, "agent": agent}
        yield Stack(service, chosen, stub, actors_root, f"127.0.0.1:{port}", *fakes, stages, server)


@asynccontextmanager
async def two_stacks(actors_root: Path, **settings: Any) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two orchestrators with their own stages, the same actors and the same key, so that one can resume the other."""
    key = actors_root.parent / "keys"
    key.write_text(secrets.token_hex(32) + "\n")
    async with (
        stack_of(actors_root, checkpoint_key_file=key, **settings) as first,
        stack_of(actors_root, checkpoint_key_file=key, **settings) as second,
    ):
        yield first, second


def configured(actor: str = "anna", **fields: Any) -> transfer_pb2.TransferRequest:
    """The first request; RAW pictures at 25 Hz unless `fields` override them."""
    fields.setdefault("output", transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW))
    fields.setdefault("frame_rate_hz", 25.0)
    return transfer_pb2.TransferRequest(config=transfer_pb2.TransferConfig(actor=actor, **fields))


def raw_frame(sequence: int, level: int = 0, *, side_px: int = SIDE_PX) -> transfer_pb2.TransferRequest:
    """A frame of one grey level."""
    data = bytes([level]) * (side_px * side_px * 3)
    picture = frame_pb2.Picture(encoding=frame_pb2.PICTURE_ENCODING_RAW, width_px=side_px, height_px=side_px, data=data)
    return transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=sequence, picture=picture))


def pose_frame(sequence: int, pose: Pose | None, captured_at_s: float | None = None) -> transfer_pb2.TransferRequest:
    """A frame whose pose the client estimated itself."""
    given = transfer_pb2.ClientPose(
        pose=None if pose is None else converters.pose_to_proto(pose),
        size=normalize_pb2.FrameSize(width_px=SIDE_PX, height_px=SIDE_PX),
    )
    at = None if captured_at_s is None else Timestamp(seconds=int(captured_at_s), nanos=int(captured_at_s % 1 * 1e9))
    return transfer_pb2.TransferRequest(
        frame=transfer_pb2.TransferFrame(sequence=sequence, client_pose=given, captured_at=at)
    )


class TakenIn:
    """Lets a test wait until the orchestrator has taken a number of frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self._reached: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        inc = metrics.FRAMES_IN_FLIGHT.inc

        def counted(amount: float = 1) -> None:
            inc(amount)
            self.count += 1
            self._reached[self.count].set()

        monkeypatch.setattr(metrics.FRAMES_IN_FLIGHT, "inc", counted)

    async def reaches(self, count: int) -> None:
        """Wait until `count` frames were taken."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._reached[count].wait()


class Dancing:
    """A client of one Transfer stream."""

    def __init__(self, stub: transfer_pb2_grpc.TransferServiceStub) -> None:
        self.call = stub.Transfer()

    async def send(self, *requests: transfer_pb2.TransferRequest) -> None:
        """Write requests; blocks while the server does not read."""
        for request in requests:
            await self.call.write(request)

    async def next(self) -> transfer_pb2.TransferResponse:
        """Return the next response. Raises AioRpcError; fails at the end of the stream."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream ended"
        return response

    async def accepted(self) -> transfer_pb2.TransferAccepted:
        """Return the first response."""
        return (await self.next()).accepted

    async def answers(self, count: int) -> list[transfer_pb2.TransferAnswer]:
        """Return the next `count` answers."""
        return [(await self.next()).answer for _ in range(count)]

    async def rest(self) -> list[transfer_pb2.TransferAnswer]:
        """Half-close, and return all answers until the end."""
        await self.call.done_writing()
        answers = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (response := await self.call.read()) is not grpc.aio.EOF:
                answers.append(response.answer)
        return answers

    async def failure(self) -> tuple[list[transfer_pb2.TransferAnswer], grpc.aio.AioRpcError]:
        """Return all answers until the stream fails, and the failure."""
        answers = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (response := await self.call.read()) is not grpc.aio.EOF:
                    answers.append(response.answer)
        except grpc.aio.AioRpcError as error:
            return answers, error
        raise AssertionError("the stream ended without a failure")


async def dance(stub: transfer_pb2_grpc.TransferServiceStub, *requests: transfer_pb2.TransferRequest):
    """Run a whole session; return what was accepted, and all answers."""
    dancing = Dancing(stub)

    async def send() -> None:
        await dancing.send(*requests)
        await dancing.call.done_writing()

    sending = asyncio.create_task(send())
    accepted = await dancing.accepted()
    answers = []
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (response := await dancing.call.read()) is not grpc.aio.EOF:
            answers.append(response.answer)
    await sending
    return accepted, answers


def pixels(answer: transfer_pb2.TransferAnswer) -> Picture:
    """Return the picture of an answer with RAW output."""
    assert answer.WhichOneof("result") == "picture", answer
    return np.frombuffer(answer.picture.data, np.uint8).reshape(answer.picture.height_px, answer.picture.width_px, 3)
