"""Stage servers for tests: real protocols on real ports, with scripted behaviour."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable

import grpc
import grpc.aio
import numpy as np
from dance.v1 import (
    agent_pb2,
    agent_pb2_grpc,
    face_pb2,
    face_pb2_grpc,
    normalize_pb2,
    normalize_pb2_grpc,
    pose_pb2,
    pose_pb2_grpc,
)
from tritonclient.grpc import service_pb2, service_pb2_grpc

from motion import skeleton
from motion.frame import EncodedPicture, Picture, PictureEncoding
from motion.pose import Pose
from serving.pictures.compositing import laid_over
from serving.rpc import converters

SIDE_PX = 64
ZERO = 128
PATIENCE_SECONDS = 60.0
"""A test that waits longer than this is stuck."""


def person(centre_x_px: float = 32.0, *, face: bool = True) -> Pose:
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
    """Lets a test see that a stage has started work on a name, and hold it there.

    A name that was never held is not waited for.
    """

    def __init__(self) -> None:
        self._begun: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._held: dict[int, asyncio.Event] = {}
        self._hold_all = False
        self._held_once: set[int] = set()

    def hold(self, *numbers: int) -> None:
        """Hold the stage at these names; without names, at every name not yet mentioned."""
        self._hold_all = self._hold_all or not numbers
        for number in numbers:
            self._held.setdefault(number, asyncio.Event())

    def hold_once(self, number: int) -> None:
        """Hold the stage at this number for good, and let it pass when it comes again."""
        self._held_once.add(number)

    def release(self, *numbers: int) -> None:
        """Release these names; without names, all."""
        if not numbers:
            self._hold_all = False
        for number in numbers or tuple(self._held):
            self._held.setdefault(number, asyncio.Event()).set()

    async def begun(self, number: int) -> None:
        """Wait until the stage has started on `name`."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._begun[number].wait()

    def has_begun(self, number: int) -> bool:
        """Whether the stage has started on `name`."""
        return self._begun[number].is_set()

    async def passes(self, number: int) -> None:
        """For the stage: report a start, and wait while held."""
        self._begun[number].set()
        if number in self._held_once:
            self._held_once.remove(number)
            await asyncio.Event().wait()
        if self._hold_all:
            self._held.setdefault(number, asyncio.Event())
        if number in self._held:
            await self._held[number].wait()


class Stumbles:
    """Makes a stage fail once at each of some numbers."""

    def __init__(self) -> None:
        self._at: set[int] = set()
        self.count = 0

    def at(self, *numbers: int) -> None:
        """Make the stage fail at these numbers."""
        self._at |= set(numbers)

    def falls(self, number: int) -> bool:
        """For the stage: whether to fail now."""
        if number not in self._at:
            return False
        self._at.remove(number)
        self.count += 1
        return True


class FakePose(pose_pb2_grpc.PoseServiceServicer):
    """Answers `script(sequence)`: a pose, None for no person, or an error about that frame's picture.

    Its state names the last frame, as that of `FakeNormalize`.
    """

    def __init__(self) -> None:
        self.frames: list[int] = []
        self.padding = b""
        """Added to its states."""
        self.script: Callable[[int], Pose | str | None] = lambda sequence: person()
        self.by_picture: Callable[[bytes], Pose] | None = None
        self.gates = Gates()
        self.configs: list[pose_pb2.EstimateConfig] = []
        self.pictures: dict[int, bytes] = {}
        self.dies_at: int | None = None
        self.stumbles = Stumbles()
        self.ends_behind: int | None = None
        """It ends its stream after answering this frame, as it does with a client that is silent for too long."""
        self.ended = asyncio.Event()
        self.open_streams = 0
        self.refuses = ""
        """The reason to refuse every config; empty to accept all."""
        self.lost: frozenset[int] = frozenset()
        """Frames in which the dancer is lost, although another person is visible."""
        self.changed: frozenset[int] = frozenset()

    async def Estimate(self, requests, context):
        self.open_streams += 1
        try:
            async for request in requests:
                if request.WhichOneof("request") == "config":
                    self.configs.append(request.config)
                    if self.refuses:
                        await context.abort(grpc.StatusCode.UNIMPLEMENTED, self.refuses)
                    accepted = pose_pb2.EstimateConfig()
                    accepted.CopyFrom(request.config)
                    if request.config.detail == pose_pb2.POSE_DETAIL_LIVE:
                        accepted.face_and_hands_every_n = request.config.face_and_hands_every_n or 3
                    yield pose_pb2.EstimateResponse(accepted=accepted)
                    continue
                frame = request.frame
                self.frames.append(frame.sequence)
                self.pictures[frame.sequence] = frame.picture.data
                state = f"after {frame.sequence}".encode() + self.padding
                await self.gates.passes(frame.sequence)
                if frame.sequence == self.dies_at or self.stumbles.falls(frame.sequence):
                    await context.abort(grpc.StatusCode.UNAVAILABLE, "pose fell over")
                pose = self.script(frame.sequence)
                if isinstance(pose, str):
                    broken = pose_pb2.Estimate(
                        sequence=frame.sequence, dancer_index=-1, bad_picture=pose, state_after=state
                    )
                    yield pose_pb2.EstimateResponse(estimate=broken)
                    continue
                if self.by_picture is not None:
                    pose = self.by_picture(frame.picture.data)
                people = [] if pose is None else [pose_pb2.Person(pose=converters.pose_to_proto(pose), person_id=1)]
                estimate = pose_pb2.Estimate(
                    sequence=frame.sequence,
                    people=people,
                    dancer_index=0 if people and frame.sequence not in self.lost else -1,
                    dancer_lost=frame.sequence in self.lost,
                    dancer_changed=frame.sequence in self.changed,
                    width_px=frame.picture.width_px,
                    height_px=frame.picture.height_px,
                    compute_seconds=0.011,
                    state_after=state,
                )
                yield pose_pb2.EstimateResponse(estimate=estimate)
                if frame.sequence == self.ends_behind:
                    self.ended.set()
                    await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the sender was silent")
        finally:
            self.open_streams -= 1


class FakeNormalize(normalize_pb2_grpc.NormalizeServiceServicer):
    """Answers the pose that it receives, after the configured look-ahead."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.configs: list[normalize_pb2.NormalizeConfig] = []
        self.frames: list[normalize_pb2.PoseFrame] = []
        self.dies_at: int | None = None
        self.stumbles = Stumbles()
        self.change: Callable[[normalize_pb2.NormalizedPose], None] = lambda answer: None
        self.ended = asyncio.Event()
        """Set when a client half-closed and all of its poses were answered."""
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
                if request.pose_frame.sequence == self.dies_at or self.stumbles.falls(request.pose_frame.sequence):
                    await context.abort(grpc.StatusCode.INTERNAL, "normalize fell over")
                if len(waiting) > look_ahead:
                    yield await self._answer(waiting.popleft())
            while waiting:
                yield await self._answer(waiting.popleft())
            self.ended.set()
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


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Paints `paint(model, label_map, previous)`, and lays a reference over it. Its calls are counted from 0.

    The person is the reference.
    """

    def __init__(self) -> None:
        self.paint: Callable[[str, Picture, Picture], Picture] = lambda model, label_map, previous: (
            previous + np.uint8(1)
        )
        self.gates = Gates()
        self.calls: list[service_pb2.ModelInferRequest] = []
        self.dies_at: int | None = None
        self.stumbles = Stumbles()
        self.unloaded: dict[int, tuple[grpc.StatusCode, str]] = {}
        """The status with which these calls are refused."""
        self.refused_sides: dict[int, grpc.StatusCode] = {}
        """The status with which pictures of these heights are refused."""
        self.running = 0

    async def ServerLive(self, request, context):
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelInfer(self, request, context):
        number = len(self.calls)
        self.calls.append(request)
        self.running += 1
        try:
            await self.gates.passes(number)
            return await self._answer(number, request, context)
        finally:
            self.running -= 1

    async def _answer(self, number, request, context):
        if number in self.unloaded:
            await context.abort(*self.unloaded[number])
        if (self.dies_at is not None and number >= self.dies_at) or self.stumbles.falls(number):
            await context.abort(grpc.StatusCode.INTERNAL, "Stub process is not healthy")
        shape = tuple(request.inputs[0].shape)
        if shape[1] in self.refused_sides:
            await context.abort(self.refused_sides[shape[1]], "no network for this size")
        named = dict(zip([i.name for i in request.inputs], request.raw_input_contents, strict=True))
        label_map = np.frombuffer(named["LABEL_MAP"], np.uint8).reshape(shape)[0]
        previous = np.frombuffer(named["PREVIOUS_FRAME"], np.uint8).reshape(shape)[0]
        frame = self.paint(request.model_name, label_map, previous)
        if "REFERENCE" in named:
            reference = np.frombuffer(named["REFERENCE"], np.uint8).reshape(*shape[1:3], 4)
            frame = laid_over(reference, frame)
        response = service_pb2.ModelInferResponse(model_name=request.model_name, model_version=request.model_version)
        response.outputs.add(name="FRAME", datatype="UINT8", shape=shape)
        response.outputs.add(name="COMPUTE_SECONDS", datatype="FP64", shape=[1, 1])
        response.raw_output_contents.append(np.ascontiguousarray(frame).tobytes())
        response.raw_output_contents.append(np.array([[0.016]]).tobytes())
        if "PERSON" in [output.name for output in request.outputs]:
            response.outputs.add(name="PERSON", datatype="UINT8", shape=(*shape[:3], 4))
            response.raw_output_contents.append(named["REFERENCE"])
        return response


class FakeFace(face_pb2_grpc.FaceServiceServicer):
    """Paints every face black. Its calls are counted from 0."""

    def __init__(self) -> None:
        self.gates = Gates()
        self.requests: list[face_pb2.RefineRequest] = []
        self.dies_at: int | None = None
        self.stumbles = Stumbles()

    async def Refine(self, request, context):
        number = len(self.requests)
        self.requests.append(request)
        await self.gates.passes(number)
        if (self.dies_at is not None and number >= self.dies_at) or self.stumbles.falls(number):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "face fell over")
        black = np.zeros((request.face.height_px, request.face.width_px, 3), np.uint8)
        face = EncodedPicture(PictureEncoding.RAW, request.face.width_px, request.face.height_px, black.tobytes())
        return face_pb2.RefineResponse(face=converters.picture_to_proto(face), compute_seconds=0.005, batch_size=1)


class FakeAgent(agent_pb2_grpc.GeneratorAgentServiceServicer):
    """Answers that every actor is loaded, or a scripted status."""

    def __init__(self) -> None:
        self.refusal: tuple[grpc.StatusCode, str] | None = None
        self.gates = Gates()
        self.asked: list[agent_pb2.EnsureActorRequest] = []
        self.stumbles = Stumbles()

    async def EnsureActor(self, request, context):
        self.asked.append(request)
        await self.gates.passes(len(self.asked) - 1)
        if self.refusal is not None:
            await context.abort(*self.refusal)
        if self.stumbles.falls(len(self.asked) - 1):
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the agent fell over")
        return agent_pb2.EnsureActorResponse(actor_version=request.actor_version, precision="bf16")
