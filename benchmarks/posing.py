"""Sessions for measuring the chain and not the networks: they send poses, to an actor whose networks do nothing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import onnx
from dance.v1 import normalize_pb2, transfer_pb2, transfer_pb2_grpc
from onnx import TensorProto, helper

from benchmarks.cases import SAMPLES
from motion import skeleton
from motion.crop import Crop
from motion.pose import Pose
from serving.actors.store import FACE_FILE, GENERATOR_FILE, PLATE_FILE, Actor, ActorStore
from serving.rpc import converters

WIDTH_PX, HEIGHT_PX = 640, 480
IN_FLIGHT = 4


def idle_actor(store: ActorStore, actor_id: str, side_px: int) -> Actor:
    """The sample actor with networks that return one of their inputs."""
    sample = ActorStore(SAMPLES / "actors").load("sample")
    with tempfile.TemporaryDirectory() as folder:
        files = {PLATE_FILE: sample.folder / PLATE_FILE}
        for name, inputs, output in (
            (GENERATOR_FILE, ("label_map", "previous_frame"), "frame"),
            (FACE_FILE, ("label", "face"), "refined"),
        ):
            kind = TensorProto.UINT8
            sides: list[str | int | None] = ["N", *(2 * [side_px if name == GENERATOR_FILE else 128]), 3]
            graph = helper.make_graph(
                [helper.make_node("Max", list(inputs), [output])],
                "idle",
                [helper.make_tensor_value_info(one, kind, sides) for one in inputs],
                [helper.make_tensor_value_info(output, kind, sides)],
            )
            files[name] = Path(folder) / name
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
            onnx.save(model, str(files[name]))
        old = sample.crop
        crop = Crop(old.x_px, old.y_px, old.width_px, old.height_px, side_px, side_px)
        facts = {"id": actor_id, "crop": crop, "preset": "idle"}
        return store.publish(Actor(**{**{f: getattr(sample, f) for f in sample.__dataclass_fields__}, **facts}), files)


def _frame(sequence: int) -> transfer_pb2.TransferRequest:
    """Somebody upright, who sways."""
    up = [
        (0, 80), (0, 70), (-9, 70), (-12, 57), (-13, 46), (9, 70), (12, 57), (13, 46), (0, 45), (-5, 45), (-5, 27),
        (-5, 8), (5, 45), (5, 27), (5, 8), (-2, 82), (2, 82), (-4, 81), (4, 81), (8, 5), (9, 5), (5, 6), (-8, 5),
        (-9, 5), (-5, 6),
    ]  # fmt: skip
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    joints_px[skeleton.BODY] = np.array(up, np.float32) * (HEIGHT_PX / 100, -HEIGHT_PX / 100)
    joints_px[skeleton.BODY] += (WIDTH_PX / 2 + 40 * np.sin(sequence / 9), HEIGHT_PX)
    angles = np.linspace(0, 2 * np.pi, skeleton.FACE_COUNT)
    nose = joints_px[skeleton.BODY][0]
    joints_px[skeleton.FACE] = nose + 12 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    confidence[skeleton.BODY] = confidence[skeleton.FACE] = 0.9
    size = normalize_pb2.FrameSize(width_px=WIDTH_PX, height_px=HEIGHT_PX)
    given = transfer_pb2.ClientPose(pose=converters.pose_to_proto(Pose(joints_px, confidence)), size=size)
    return transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=sequence, client_pose=given))


class PosingSession:
    """One open session over a channel of all."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()  # type: ignore[no-untyped-call]

    async def open(self, actor: str, **fields: Any) -> None:
        """Sends the config, with these fields beside the usual ones, and waits until it is accepted."""
        returns = transfer_pb2.ReturnOptions(stage_times=True)
        config = transfer_pb2.TransferConfig(actor=actor, frame_rate_hz=25.0, return_options=returns, **fields)
        await self._call.write(transfer_pb2.TransferRequest(config=config))
        await self._call.read()

    async def send(self, sequence: int) -> None:
        """One frame."""
        await self._call.write(_frame(sequence))

    async def answer(self) -> transfer_pb2.TransferAnswer:
        """The next one. Raises RuntimeError where it has no picture."""
        answer: transfer_pb2.TransferAnswer = (await self._call.read()).answer
        if answer.WhichOneof("result") != "picture":
            raise RuntimeError(f"frame {answer.sequence} has no picture: {answer.no_picture}")
        return answer

    async def dance(self, frames: int) -> None:
        """So many frames and their answers, `IN_FLIGHT` of them under way."""
        for sequence in range(frames + IN_FLIGHT):
            if sequence < frames:
                await self.send(sequence)
            if sequence >= IN_FLIGHT:
                await self.answer()

    def close(self) -> None:
        """Cancels it."""
        self._call.cancel()
