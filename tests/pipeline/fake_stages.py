"""Stage servers for tests: they speak the real protocols on real ports, and do what they are told."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import grpc
import grpc.aio
import numpy as np
from dance.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    face_pb2,
    face_pb2_grpc,
    frame_pb2,
    normalize_pb2,
    normalize_pb2_grpc,
    pose_pb2,
    pose_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from tritonclient.grpc import service_pb2, service_pb2_grpc

from motion import skeleton
from motion.body import BodyStats
from motion.face_region import FaceRule
from motion.frame import EncodedPicture, FrameSize, Picture, PictureEncoding
from motion.labelmap import LABEL_MAP_VERSION
from motion.pose import Pose
from motion.stage import Stage
from orchestrator.servicer import TransferService
from orchestrator.settings import OrchestratorSettings
from serving import wire
from serving.actors import Actor, ActorStore, NetworkShape
from serving.interceptor import ErrorInterceptor
from serving.server import CHANNEL_OPTIONS, SERVER_OPTIONS

SIDE_PX = 64
ZERO = 128
PATIENCE_SECONDS = 20.0
"""After so long a test that waits for something is stuck."""


def somebody(centre_x_px: float = 32.0, *, face: bool = True) -> Pose:
    """A whole body, 40 pixels high, in a frame of 64 x 64."""
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    joints_px[skeleton.BODY] = [
        (0, 12), (0, 18), (-6, 18), (-8, 26), (-9, 33), (6, 18), (8, 26), (9, 33), (0, 34), (-3, 34), (-3, 44),
        (-3, 54), (3, 34), (3, 44), (3, 54), (-1, 11), (1, 11), (-2, 11), (2, 11), (4, 56), (5, 56), (3, 55), (-4, 56),
        (-5, 56), (-3, 55),
    ]  # fmt: skip
    angles = np.linspace(0, 2 * np.pi, skeleton.FACE_COUNT, endpoint=False)
    joints_px[skeleton.FACE] = np.stack([4 * np.cos(angles), 12 + 4 * np.sin(angles)], axis=1)
    joints_px[:, 0] += centre_x_px
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    confidence[skeleton.BODY] = 0.9
    confidence[skeleton.FACE] = 0.9 if face else 0
    return Pose(joints_px, confidence)


class Gates:
    """Lets a test see that a stage has begun on something, and hold it there.

    A name that was never held is not waited for.
    """

    def __init__(self) -> None:
        self._begun: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._held: dict[int, asyncio.Event] = {}
        self._hold_all = False

    def hold(self, *numbers: int) -> None:
        """The stage will stop at these; without any, at all that were not named."""
        self._hold_all = self._hold_all or not numbers
        for number in numbers:
            self._held.setdefault(number, asyncio.Event())

    def release(self, *numbers: int) -> None:
        """The stage may go on with these; without any, with all."""
        if not numbers:
            self._hold_all = False
        for number in numbers or tuple(self._held):
            self._held.setdefault(number, asyncio.Event()).set()

    async def begun(self, number: int) -> None:
        """Waits until the stage has begun with this one."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._begun[number].wait()

    def has_begun(self, number: int) -> bool:
        """Whether the stage has begun with this one."""
        return self._begun[number].is_set()

    async def passes(self, number: int) -> None:
        """For the stage: says that it begins, and waits while it is held."""
        self._begun[number].set()
        if self._hold_all:
            self._held.setdefault(number, asyncio.Event())
        if number in self._held:
            await self._held[number].wait()


class FakePose(pose_pb2_grpc.PoseServiceServicer):
    """Answers `script(sequence)`: a pose, None for nobody, or the text to refuse that frame with."""

    def __init__(self) -> None:
        self.script: Callable[[int], Pose | str | None] = lambda sequence: somebody()
        self.by_picture: Callable[[bytes], Pose] | None = None
        self.gates = Gates()
        self.configs: list[pose_pb2.EstimateConfig] = []
        self.pictures: dict[int, bytes] = {}
        self.dies_at: int | None = None
        self.open_streams = 0
        self.silent = False

    async def Estimate(self, requests, context):
        self.open_streams += 1
        try:
            async for request in requests:
                if request.WhichOneof("request") == "config":
                    self.configs.append(request.config)
                    accepted = pose_pb2.EstimateConfig()
                    accepted.CopyFrom(request.config)
                    if request.config.detail == pose_pb2.POSE_DETAIL_LIVE:
                        accepted.face_and_hands_every_n = request.config.face_and_hands_every_n or 3
                    yield pose_pb2.EstimateResponse(accepted=accepted)
                    continue
                frame = request.frame
                self.pictures[frame.sequence] = frame.picture.data
                await self.gates.passes(frame.sequence)
                if frame.sequence == self.dies_at:
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "pose fell over")
                pose = self.script(frame.sequence)
                if isinstance(pose, str):
                    await context.abort(grpc.StatusCode.INVALID_ARGUMENT, pose)
                if self.by_picture is not None:
                    pose = self.by_picture(frame.picture.data)
                people = [] if pose is None else [pose_pb2.Person(pose=wire.pose_to_proto(pose), person_id=1)]
                estimate = pose_pb2.Estimate(
                    sequence=frame.sequence,
                    people=people,
                    dancer_index=0 if people else -1,
                    width_px=frame.picture.width_px,
                    height_px=frame.picture.height_px,
                    compute_seconds=0.011,
                )
                yield pose_pb2.EstimateResponse(estimate=estimate)
        finally:
            self.open_streams -= 1


class FakeNormalize(normalize_pb2_grpc.NormalizeServiceServicer):
    """Answers the pose that it gets, after as much look-ahead as it is told."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.configs: list[normalize_pb2.NormalizeConfig] = []
        self.frames: list[normalize_pb2.PoseFrame] = []
        self.dies_at: int | None = None
        self.change: Callable[[normalize_pb2.NormalizedPose], None] = lambda answer: None
        self.open_streams = 0

    async def Normalize(self, requests, context):
        self.open_streams += 1
        waiting: deque[normalize_pb2.PoseFrame] = deque()
        look_ahead = 0
        try:
            async for request in requests:
                if request.WhichOneof("request") == "config":
                    self.configs.append(request.config)
                    look_ahead = request.config.look_ahead_frames
                    yield normalize_pb2.NormalizeResponse(accepted=request.config)
                    continue
                self.frames.append(request.pose_frame)
                waiting.append(request.pose_frame)
                if request.pose_frame.sequence == self.dies_at:
                    await context.abort(grpc.StatusCode.INTERNAL, "normalize fell over")
                if len(waiting) > look_ahead:
                    yield await self._answer(waiting.popleft())
            while waiting:
                yield await self._answer(waiting.popleft())
        finally:
            self.open_streams -= 1

    async def _answer(self, frame: normalize_pb2.PoseFrame) -> normalize_pb2.NormalizeResponse:
        await self.gates.passes(frame.sequence)
        answer = normalize_pb2.NormalizedPose(
            sequence=frame.sequence,
            transform=normalize_pb2.BodyTransform(scale=1, foot_y=0.9, hip_x=0.5),
            calibration=normalize_pb2.CALIBRATION_GIVEN,
            certainty=1,
            state_after=f"after {frame.sequence}".encode(),
            compute_seconds=0.002,
        )
        if frame.HasField("pose"):
            answer.pose.CopyFrom(frame.pose)
        self.change(answer)
        return normalize_pb2.NormalizeResponse(normalized=answer)


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Paints `paint(model, label_map, previous)`. Its calls are counted from 0."""

    def __init__(self) -> None:
        self.paint: Callable[[str, Picture, Picture], Picture] = lambda model, label_map, previous: previous + 1
        self.gates = Gates()
        self.calls: list[service_pb2.ModelInferRequest] = []
        self.dies_at: int | None = None
        self.running = 0

    async def ModelInfer(self, request, context):
        number = len(self.calls)
        self.calls.append(request)
        self.running += 1
        try:
            await self.gates.passes(number)
        finally:
            self.running -= 1
        if number == self.dies_at:
            await context.abort(grpc.StatusCode.INTERNAL, "Stub process is not healthy")
        shape = tuple(request.inputs[0].shape)
        named = dict(zip([i.name for i in request.inputs], request.raw_input_contents, strict=True))
        label_map = np.frombuffer(named["LABEL_MAP"], np.uint8).reshape(shape)[0]
        previous = np.frombuffer(named["PREVIOUS_FRAME"], np.uint8).reshape(shape)[0]
        frame = self.paint(request.model_name, label_map, previous)
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        response.outputs.add(name="FRAME", datatype="UINT8", shape=shape)
        response.outputs.add(name="COMPUTE_SECONDS", datatype="FP64", shape=[1, 1])
        response.raw_output_contents.append(np.ascontiguousarray(frame).tobytes())
        response.raw_output_contents.append(np.array([[0.016]]).tobytes())
        return response


class FakeFace(face_pb2_grpc.FaceServiceServicer):
    """Makes every face black. Its calls are counted from 0."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.requests: list[face_pb2.RefineRequest] = []
        self.dies_at: int | None = None

    async def Refine(self, request, context):
        number = len(self.requests)
        self.requests.append(request)
        await self.gates.passes(number)
        if number == self.dies_at:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "face fell over")
        black = np.zeros((request.face.height_px, request.face.width_px, 3), np.uint8)
        face = EncodedPicture(PictureEncoding.RAW, request.face.width_px, request.face.height_px, black.tobytes())
        return face_pb2.RefineResponse(face=wire.picture_to_proto(face), compute_seconds=0.005, batch_size=1)


class FakeAgent(agent_pb2_grpc.GeneratorAgentServiceServicer):
    """Says that every actor is loaded, or what it is told to."""

    def __init__(self) -> None:
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.asked: list[agent_pb2.EnsureActorRequest] = []

    async def EnsureActor(self, request, context):
        self.asked.append(request)
        if self.refusal is not None:
            await context.abort(*self.refusal)
        return agent_pb2.EnsureActorResponse(actor_version=request.actor_version, precision="bf16")


def publish_actor(root: Path, actor_id: str, *, face: bool = True, label_map_version: int = LABEL_MAP_VERSION) -> Actor:
    """An actor whose footage is 96 x 80 pixels, with a stage of 64 x 64 in its upper left corner."""
    size = FrameSize(96, 80)
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
        stage=Stage(0, 0, SIDE_PX, SIDE_PX, SIDE_PX, SIDE_PX),
        frame_size=size,
        frame_rate_hz=25.0,
        body=BodyStats(near_ankle_y=0.9, far_ankle_y=0.7, near_height=0.6, far_height=0.5, hip_x=0.5, frames=100),
        face_rule=FaceRule(side_per_face_size=1.5, min_side_px=8, crop_px=16),
        generator=shape,
        face=shape if face else None,
        preset="test",
    )
    files = {"generator.onnx": weights, "plate.png": plate, **({"face.onnx": weights} if face else {})}
    return ActorStore(root).publish(actor, files)


@dataclass
class Stack:
    """A running orchestrator and the fake stages behind it."""

    service: TransferService
    settings: OrchestratorSettings
    stub: transfer_pb2_grpc.TransferServiceStub
    actors_root: Path
    pose: FakePose = field(default_factory=FakePose)
    normalize: FakeNormalize = field(default_factory=FakeNormalize)
    triton: FakeTriton = field(default_factory=FakeTriton)
    face: FakeFace = field(default_factory=FakeFace)
    agent: FakeAgent = field(default_factory=FakeAgent)


@asynccontextmanager
async def stack_of(actors_root: Path, **settings: object) -> AsyncIterator[Stack]:
    """An orchestrator and its stages, on ports of their own; all ended behind the body."""
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
        )
        chosen = replace(base, **settings)
        service = TransferService(chosen)
        stack.push_async_callback(service.close)
        server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
        service.register(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        stack.push_async_callback(server.stop, 0)
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=CHANNEL_OPTIONS)
        await stack.enter_async_context(channel)
        stub = transfer_pb2_grpc.TransferServiceStub(channel)
        yield Stack(service, chosen, stub, actors_root, *fakes)


def configured(actor: str = "anna", **fields: object) -> transfer_pb2.TransferRequest:
    """The first request; RAW pictures at 25 Hz unless `fields` say otherwise."""
    fields.setdefault("output", transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW))
    fields.setdefault("frame_rate_hz", 25.0)
    return transfer_pb2.TransferRequest(config=transfer_pb2.TransferConfig(actor=actor, **fields))


def raw_frame(sequence: int, level: int = 0, *, side_px: int = SIDE_PX) -> transfer_pb2.TransferRequest:
    """A frame of one grey level."""
    data = bytes([level]) * (side_px * side_px * 3)
    picture = frame_pb2.Picture(encoding=frame_pb2.PICTURE_ENCODING_RAW, width_px=side_px, height_px=side_px, data=data)
    return transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=sequence, picture=picture))


def pose_frame(sequence: int, pose: Pose | None, captured_at_s: float | None = None) -> transfer_pb2.TransferRequest:
    """A frame that the client has looked at itself."""
    given = transfer_pb2.ClientPose(
        pose=None if pose is None else wire.pose_to_proto(pose),
        size=normalize_pb2.FrameSize(width_px=SIDE_PX, height_px=SIDE_PX),
    )
    at = None if captured_at_s is None else Timestamp(seconds=int(captured_at_s), nanos=int(captured_at_s % 1 * 1e9))
    return transfer_pb2.TransferRequest(
        frame=transfer_pb2.TransferFrame(sequence=sequence, client_pose=given, captured_at=at)
    )


class Dancing:
    """A client of one Transfer stream."""

    def __init__(self, stub: transfer_pb2_grpc.TransferServiceStub) -> None:
        self.call = stub.Transfer()

    async def send(self, *requests: transfer_pb2.TransferRequest) -> None:
        """Writes requests; a server that does not read makes this wait."""
        for request in requests:
            await self.call.write(request)

    async def next(self) -> transfer_pb2.TransferResponse:
        """The next response. Raises AioRpcError; fails at the end of the stream."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            response = await self.call.read()
        assert response is not grpc.aio.EOF, "the stream ended"
        return response

    async def accepted(self) -> transfer_pb2.TransferAccepted:
        """The first response."""
        return (await self.next()).accepted

    async def answers(self, count: int) -> list[transfer_pb2.TransferAnswer]:
        """The next so many answers."""
        return [(await self.next()).answer for _ in range(count)]

    async def rest(self) -> list[transfer_pb2.TransferAnswer]:
        """Half-closes and returns all answers until the end."""
        await self.call.done_writing()
        answers = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (response := await self.call.read()) is not grpc.aio.EOF:
                answers.append(response.answer)
        return answers

    async def failure(self) -> tuple[list[transfer_pb2.TransferAnswer], grpc.aio.AioRpcError]:
        """All answers until the stream fails, and how it fails."""
        answers = []
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while (response := await self.call.read()) is not grpc.aio.EOF:
                    answers.append(response.answer)
        except grpc.aio.AioRpcError as error:
            return answers, error
        raise AssertionError("the stream ended without a failure")


async def dance(stub: transfer_pb2_grpc.TransferServiceStub, *requests: transfer_pb2.TransferRequest):
    """A whole session: what was accepted, and all answers."""
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
    """The picture of an answer with RAW output."""
    assert answer.WhichOneof("result") == "picture", answer
    return np.frombuffer(answer.picture.data, np.uint8).reshape(answer.picture.height_px, answer.picture.width_px, 3)
