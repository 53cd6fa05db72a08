"""What does a session take? Memory of the orchestrator and of the pose service, while sessions dance at the same time.

Resident memory of the process with many of them, less that with one, by their number; the median and the highest of
what was seen while they danced. Prints a report in Markdown. `python -m benchmarks.memory --help`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated

import grpc.aio
import psutil
import typer
from dance.v1 import frame_pb2, pose_pb2, pose_pb2_grpc

from benchmarks.cases import read_clip
from benchmarks.posing import PosingSession, idle_actor
from client.local_stack.stack import local_stack
from motion.frame import Frame
from serving.actors.store import ActorStore
from serving.rpc import converters
from serving.rpc.channels import open_channel

SIDE_PX = 512
_LOOK_SECONDS = 0.02
_DETAILS = {"holistic": pose_pb2.POSE_DETAIL_HOLISTIC, "live": pose_pb2.POSE_DETAIL_LIVE}


def main(
    sessions: Annotated[int, typer.Option(min=2, max=64, help="Sessions of the orchestrator.")] = 16,
    streams: Annotated[int, typer.Option(min=2, max=16, help="Streams of the pose service.")] = 4,
    frames: Annotated[int, typer.Option(min=20, help="Of each.")] = 60,
) -> None:
    """One session against many, at 512x512; one stream of the pose service against several."""
    for name in ("ORCHESTRATOR_MAX_SESSIONS", "POSE_MAX_STREAMS", "NORMALIZE_MAX_STREAMS"):
        os.environ[name] = "128"
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), sessions, streams, frames))


async def _measure(root: Path, sessions: int, streams: int, frames: int) -> None:
    idle_actor(ActorStore(root / "actors"), "idle", SIDE_PX)
    print("| what | one | many | each more: median | highest | goal |\n|---|---|---|---|---|---|")
    async with local_stack(root / "actors", root / "logs") as stack:
        async with open_channel(stack.address) as channel:
            pid = stack.pids["orchestrator"]
            await _danced(channel, 2, frames, pid)
            one, many = await _danced(channel, 1, frames, pid), await _danced(channel, sessions, frames, pid)
            _told(f"orchestrator, {sessions} sessions at {SIDE_PX}x{SIDE_PX}", one, many, sessions, "16 MiB")
        clip = read_clip().frames[40 : 40 + min(frames, 30)]
        async with open_channel(f"127.0.0.1:{stack.ready['pose'].ports['port']}") as channel:
            pid = stack.pids["pose"]
            for name, detail in _DETAILS.items():
                await _looked(channel, detail, 1, clip, pid)
                one, many = [await _looked(channel, detail, count, clip, pid) for count in (1, streams)]
                _told(f"pose, {streams} streams of {SIDE_PX}x{SIDE_PX}, detail {name}", one, many, streams, "")


def _told(what: str, one: Sequence[int], many: Sequence[int], count: int, goal: str) -> None:
    each = [(of(many) - of(one)) / (count - 1) / 2**20 for of in (median, max)]
    cells = [what, *(f"{median(values) / 2**20:.0f} MiB" for values in (one, many))]
    print(f"| {' | '.join(cells)} | {each[0]:.1f} MiB | {each[1]:.1f} MiB | {goal} |", flush=True)


@contextmanager
def seen(pid: int) -> Iterator[list[int]]:
    """Resident bytes of a process, looked at every 20 ms while inside."""
    process, values, over = psutil.Process(pid), list[int](), threading.Event()

    def look() -> None:
        while not over.wait(_LOOK_SECONDS):
            values.append(process.memory_info().rss)

    watcher = threading.Thread(target=look, name="memory")
    watcher.start()
    try:
        yield values
    finally:
        over.set()
        watcher.join()


async def _danced(channel: grpc.aio.Channel, count: int, frames: int, pid: int) -> list[int]:
    """What was seen while so many sessions danced."""
    sessions = [PosingSession(channel) for _ in range(count)]
    await asyncio.gather(*(session.open("idle") for session in sessions))
    with seen(pid) as values:
        await asyncio.gather(*(session.dance(frames) for session in sessions))
    for session in sessions:
        session.close()
    return values


async def _looked(
    channel: grpc.aio.Channel, detail: pose_pb2.PoseDetail, count: int, frames: Sequence[Frame], pid: int
) -> list[int]:
    """What was seen while so many streams looked at pictures."""
    stub = pose_pb2_grpc.PoseServiceStub(channel)  # type: ignore[no-untyped-call]
    calls = [stub.Estimate() for _ in range(count)]
    for call in calls:
        await call.write(pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(detail=detail)))
        await call.read()

    async def look(call: grpc.aio.StreamStreamCall) -> None:
        for frame in frames:
            message = frame_pb2.Frame(sequence=frame.sequence, picture=converters.picture_to_proto(frame.picture))
            await call.write(pose_pb2.EstimateRequest(frame=message))
            await call.read()

    with seen(pid) as values:
        await asyncio.gather(*(look(call) for call in calls))
    for call in calls:
        call.cancel()
    return values


if __name__ == "__main__":
    typer.run(main)
