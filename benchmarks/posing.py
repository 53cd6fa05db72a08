"""Sessions that measure the pipeline without the networks: they send poses, to an actor whose networks do nothing."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc.aio
import onnx
from dance.v1 import normalize_pb2, transfer_pb2, transfer_pb2_grpc
from onnx import TensorProto, helper

from benchmarks.cases import SAMPLES
from benchmarks.stand_ins import dancer
from client.local_stack.stack import LocalStack, local_stack
from motion.wardrobe.storage import read_wardrobe
from serving.actors.store import (
    FACE_FILE,
    GENERATOR_FILE,
    PLATE_FILE,
    WARDROBE_FILE,
    Actor,
    ActorStore,
    NetworkShape,
    WardrobeFacts,
)
from serving.rpc import converters
from serving.rpc.channels import open_channel

WIDTH_PX, HEIGHT_PX = 640, 480
IN_FLIGHT = 4


def idle_actor(store: ActorStore, actor_id: str, side_px: int, wardrobe: Path | None = None) -> Actor:
    """Publish the sample actor with networks that return one of their inputs.

    wardrobe: the file of a wardrobe of `side_px` x `side_px`, for a session that draws references; None for none.
    """
    sample = ActorStore(SAMPLES / "actors").load("sample")
    with tempfile.TemporaryDirectory() as folder:
        files = {PLATE_FILE: sample.folder / PLATE_FILE}
        facts = None
        if wardrobe is not None:
            files[WARDROBE_FILE], facts = wardrobe, WardrobeFacts.of(read_wardrobe(wardrobe))
        reference = ("reference",) if wardrobe is not None else ()
        for name, inputs, output, network_side_px in (
            (GENERATOR_FILE, ("label_map", "previous_frame", *reference), "frame", side_px),
            (FACE_FILE, ("label", "face"), "refined", sample.face_rule.crop_px),
        ):
            shape: list[str | int | None] = ["N", network_side_px, network_side_px, 3]
            graph = helper.make_graph(
                [helper.make_node("Max", list(inputs[:2]), [output])],
                "idle",
                [
                    helper.make_tensor_value_info(
                        one, TensorProto.UINT8, [*shape[:3], 4] if one == "reference" else shape
                    )
                    for one in inputs
                ],
                [helper.make_tensor_value_info(output, TensorProto.UINT8, shape)],
            )
            files[name] = Path(folder) / name
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
            onnx.save(model, str(files[name]))
        crop = replace(sample.crop, out_width_px=side_px, out_height_px=side_px)
        face = NetworkShape(base_channels=1, downsamplings=0, blocks=0)
        generator = replace(face, reference=facts is not None)
        idle = replace(sample, id=actor_id, crop=crop, generator=generator, face=face, wardrobe=facts, preset="idle")
        return store.publish(idle, files)


@asynccontextmanager
async def idle_stack(
    *sides_px: int, max_sessions: int, wardrobe: Path | None = None
) -> AsyncIterator[tuple[LocalStack, grpc.aio.Channel]]:
    """Run real processes with the actors `idle-256` and so on; return them and a channel to the orchestrator.

    wardrobe: see `idle_actor`; for a single size.
    """
    os.environ["ORCHESTRATOR_MAX_SESSIONS"] = str(max_sessions)
    for stage in ("POSE", "NORMALIZE"):
        os.environ[f"{stage}_MAX_STREAMS"] = str(2 * max_sessions)
    with tempfile.TemporaryDirectory() as folder:
        actors = Path(folder) / "actors"
        for side_px in sides_px:
            idle_actor(ActorStore(actors), f"idle-{side_px}", side_px, wardrobe)
        async with local_stack(actors, Path(folder) / "logs") as stack, open_channel(stack.address) as channel:
            yield stack, channel


class PosingSession:
    """One open session on a shared channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()  # type: ignore[no-untyped-call]
        self._next_sequence = 0

    async def open(self, actor: str, **fields: Any) -> None:
        """Send the config, with these additional fields, and wait until the server accepts it."""
        returns = transfer_pb2.ReturnOptions(stage_times=True)
        config = transfer_pb2.TransferConfig(actor=actor, frame_rate_hz=25.0, return_options=returns, **fields)
        await self._call.write(transfer_pb2.TransferRequest(config=config))
        await self._call.read()

    async def send(self) -> None:
        """Send the next frame: a pose without hands."""
        pose = dancer(self._next_sequence, WIDTH_PX, HEIGHT_PX, hands=False)
        size = normalize_pb2.FrameSize(width_px=WIDTH_PX, height_px=HEIGHT_PX)
        given = transfer_pb2.ClientPose(pose=converters.pose_to_proto(pose), size=size)
        frame = transfer_pb2.TransferFrame(sequence=self._next_sequence, client_pose=given)
        self._next_sequence += 1
        await self._call.write(transfer_pb2.TransferRequest(frame=frame))

    async def answer(self) -> transfer_pb2.TransferAnswer:
        """Return the next answer. Raises RuntimeError if it has no picture."""
        answer: transfer_pb2.TransferAnswer = (await self._call.read()).answer
        if answer.WhichOneof("result") != "picture":
            raise RuntimeError(f"frame {answer.sequence} has no picture: {answer.no_picture}")
        return answer

    async def dance(self, frames: int) -> None:
        """Send frames and receive their answers, with `IN_FLIGHT` frames in flight."""
        for number in range(frames + IN_FLIGHT):
            if number < frames:
                await self.send()
            if number >= IN_FLIGHT:
                await self.answer()

    async def paced(
        self, frames: int, pause_seconds: float
    ) -> AsyncIterator[tuple[transfer_pb2.TransferAnswer, float]]:
        """Send each frame a pause after the last answer; yield each answer with the seconds that it took."""
        for _ in range(frames):
            began_s = time.perf_counter()
            await self.send()
            yield await self.answer(), time.perf_counter() - began_s
            await asyncio.sleep(pause_seconds)

    def close(self) -> None:
        """Cancel the session."""
        self._call.cancel()


@asynccontextmanager
async def opened(channel: grpc.aio.Channel, actor: str, count: int) -> AsyncIterator[list[PosingSession]]:
    """Keep that many sessions open until the context ends."""
    sessions: list[PosingSession] = []
    try:
        while len(sessions) < count:
            session = PosingSession(channel)
            try:
                await session.open(actor)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                    raise
                await asyncio.sleep(0.2)  # an earlier session still holds its place
            else:
                sessions.append(session)
        yield sessions
    finally:
        for session in sessions:
            session.close()
