"""What many sessions cost: real processes, sessions that send poses, and networks that do nothing.

So the chain is measured and not the networks: frames a second of all sessions together, what the chain adds to a frame,
CPU of each process, memory of a session. Prints a report in Markdown. `python -m benchmarks.sessions --help`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path
from typing import Annotated

import grpc.aio
import numpy as np
import onnx
import psutil
import typer
from dance.v1 import normalize_pb2, transfer_pb2, transfer_pb2_grpc
from onnx import TensorProto, helper

from benchmarks.cases import SAMPLES
from client.stack import LocalStack, local_stack
from motion import skeleton
from motion.pose import Pose
from motion.stage import Stage
from serving import wire
from serving.actors import FACE_FILE, GENERATOR_FILE, PLATE_FILE, Actor, ActorStore
from serving.channels import open_channel

WIDTH_PX, HEIGHT_PX = 640, 480
_IN_FLIGHT = 4
_MOST_SESSIONS = 64


def main(
    frames: Annotated[int, typer.Option(min=20, help="Of each session.")] = 150,
    most: Annotated[int, typer.Option(min=2, max=_MOST_SESSIONS, help="Sessions at the same time, at most.")] = 16,
) -> None:
    """1, 2, 4, ... sessions at the same time; then one that is paced; then memory."""
    for name in ("ORCHESTRATOR_MAX_SESSIONS", "POSE_MAX_STREAMS", "NORMALIZE_MAX_STREAMS"):
        os.environ[name] = str(2 * _MOST_SESSIONS)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), frames, most))


async def _measure(root: Path, frames: int, most: int) -> None:
    store = ActorStore(root / "actors")
    for side_px in (256, 512):
        _idle_actor(store, f"idle-{side_px}", side_px)
    async with local_stack(root / "actors", root / "logs") as stack, open_channel(stack.address) as channel:
        await _together(channel, "idle-256", 2, 20)
        await _together(channel, "idle-512", 1, 20)
        print("| sessions | frames a second, all together | of the best | CPU a frame: " + ", ".join(stack.pids) + " |")
        print("|---|---|---|---|")
        best, count = 0.0, 1
        while count <= most:
            before = _cpu_seconds(stack)
            rate = await _together(channel, "idle-256", count, max(20, frames // max(1, count // 4)))
            done = count * max(20, frames // max(1, count // 4))
            used = {name: 1000 * (now - before[name]) / done for name, now in _cpu_seconds(stack).items()}
            best = max(best, rate)
            shown = ", ".join(f"{used[name]:.1f}" for name in stack.pids)
            print(f"| {count} | {rate:.0f} | {rate / best:.2f} | {shown} ms |", flush=True)
            count *= 2
        print("\n| one session, 10 frames a second | added by the chain p50 | p95 | goal |\n|---|---|---|---|")
        for side_px in (256, 512):
            added_ms = 1000 * np.array(await _paced(channel, f"idle-{side_px}", 100))
            p50, p95 = np.percentile(added_ms, (50, 95))
            print(f"| {side_px}x{side_px} | {p50:.1f} ms | {p95:.1f} ms | 5 ms |", flush=True)
        print(f"\nmemory of a session at 512x512 in the orchestrator: {await _memory(stack, channel) / 2**20:.1f} MiB")


def _idle_actor(store: ActorStore, actor_id: str, side_px: int) -> Actor:
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
        old = sample.stage
        stage = Stage(old.x_px, old.y_px, old.width_px, old.height_px, side_px, side_px)
        facts = {"id": actor_id, "stage": stage, "preset": "idle"}
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
    given = transfer_pb2.ClientPose(pose=wire.pose_to_proto(Pose(joints_px, confidence)), size=size)
    return transfer_pb2.TransferRequest(frame=transfer_pb2.TransferFrame(sequence=sequence, client_pose=given))


class _Session:
    """One open session over a channel of all."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()  # type: ignore[no-untyped-call]

    async def open(self, actor: str) -> None:
        returns = transfer_pb2.ReturnOptions(stage_times=True)
        config = transfer_pb2.TransferConfig(actor=actor, frame_rate_hz=25.0, return_options=returns)
        await self._call.write(transfer_pb2.TransferRequest(config=config))
        await self._call.read()

    async def send(self, sequence: int) -> None:
        await self._call.write(_frame(sequence))

    async def answer(self) -> transfer_pb2.TransferAnswer:
        answer: transfer_pb2.TransferAnswer = (await self._call.read()).answer
        if answer.WhichOneof("result") != "picture":
            raise RuntimeError(f"frame {answer.sequence} has no picture: {answer.no_picture}")
        return answer

    async def dance(self, frames: int) -> None:
        for sequence in range(frames + _IN_FLIGHT):
            if sequence < frames:
                await self.send(sequence)
            if sequence >= _IN_FLIGHT:
                await self.answer()

    def close(self) -> None:
        self._call.cancel()


async def _together(channel: grpc.aio.Channel, actor: str, count: int, frames: int) -> float:
    """Frames a second of so many sessions at the same time."""
    sessions = [_Session(channel) for _ in range(count)]
    for session in sessions:
        await session.open(actor)
    began_s = time.perf_counter()
    await asyncio.gather(*(session.dance(frames) for session in sessions))
    rate = count * frames / (time.perf_counter() - began_s)
    for session in sessions:
        session.close()
    return rate


async def _paced(channel: grpc.aio.Channel, actor: str, frames: int) -> list[float]:
    """Of each frame: its time in the orchestrator, without the stages' own work, in seconds."""
    session = _Session(channel)
    await session.open(actor)
    added = []
    for sequence in range(frames):
        await session.send(sequence)
        answer = await session.answer()
        added.append(answer.frame_seconds - sum(spent.compute_seconds for spent in answer.stage_times))
        await asyncio.sleep(0.1)
    session.close()
    return added[10:]


async def _memory(stack: LocalStack, channel: grpc.aio.Channel) -> float:
    """Bytes of the orchestrator for each of sixteen sessions more, each in mid-dance."""
    process = psutil.Process(stack.pids["orchestrator"])
    sessions = [_Session(channel) for _ in range(17)]
    resident = []
    for number, session in enumerate(sessions):
        await session.open("idle-512")
        await session.dance(8)
        if number in (0, 16):
            resident.append(process.memory_info().rss)
    for session in sessions:
        session.close()
    return float(resident[1] - resident[0]) / 16


def _cpu_seconds(stack: LocalStack) -> dict[str, float]:
    """User and system time of each process and its children."""
    used = {}
    for name, pid in stack.pids.items():
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        used[name] = sum(sum(member.cpu_times()[:2]) for member in family)
    return used


if __name__ == "__main__":
    typer.run(main)
