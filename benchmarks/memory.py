"""How much memory does a session take? In the orchestrator and in the pose service, with simultaneous sessions.

The memory of a session is the resident memory with many sessions, minus that with one, divided by the difference of
their numbers: the median and the maximum while they run. Prints a report in Markdown.
`python -m benchmarks.memory --help`.
"""

from __future__ import annotations

import asyncio
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

from benchmarks import table
from benchmarks.cases import read_clip
from benchmarks.posing import idle_stack, opened
from motion.frame import Frame
from serving.rpc import converters
from serving.rpc.channels import open_channel

SIDE_PX = 512
_SAMPLE_SECONDS = 0.02
_DETAILS = {"holistic": pose_pb2.POSE_DETAIL_HOLISTIC, "live": pose_pb2.POSE_DETAIL_LIVE}


def main(
    sessions: Annotated[int, typer.Option(min=2, max=64, help="Sessions of the orchestrator.")] = 16,
    streams: Annotated[int, typer.Option(min=2, max=16, help="Streams of the pose service.")] = 4,
    frames: Annotated[int, typer.Option(min=20, help="Frames of each.")] = 60,
    wardrobe: Annotated[
        Path | None, typer.Option(help="A wardrobe.npz of 512x512, for sessions that draw references.", exists=True)
    ] = None,
) -> None:
    """Compare one session with many, at 512x512, and one stream of the pose service with several."""
    asyncio.run(_measure(sessions, streams, frames, wardrobe))


async def _measure(sessions: int, streams: int, frames: int, wardrobe: Path | None) -> None:
    async with idle_stack(SIDE_PX, max_sessions=128, wardrobe=wardrobe) as (stack, channel):
        print(table.header("what", "one", "many", "each more: median", "highest", "goal"))
        pid = stack.pids["orchestrator"]
        await _with_sessions(channel, 2, frames, pid)
        one, many = [await _with_sessions(channel, count, frames, pid) for count in (1, sessions)]
        _print_row(f"orchestrator, {sessions} sessions at {SIDE_PX}x{SIDE_PX}", one, many, sessions, "16 MiB")
        clip = read_clip().frames[40 : 40 + min(frames, 30)]
        async with open_channel(f"127.0.0.1:{stack.ready['pose'].ports['port']}") as pose:
            pid = stack.pids["pose"]
            for name, detail in _DETAILS.items():
                await _with_streams(pose, detail, 1, clip, pid)
                one, many = [await _with_streams(pose, detail, count, clip, pid) for count in (1, streams)]
                _print_row(
                    f"pose, {streams} streams of {SIDE_PX}x{SIDE_PX}, detail {name}", one, many, streams, "4 MiB"
                )


def _print_row(what: str, one: Sequence[int], many: Sequence[int], count: int, goal: str) -> None:
    totals = [f"{median(values) / 2**20:.0f} MiB" for values in (one, many)]
    each = [f"{(of(many) - of(one)) / (count - 1) / 2**20:.1f} MiB" for of in (median, max)]
    print(table.row(what, *totals, *each, goal), flush=True)


@contextmanager
def resident_bytes(pid: int) -> Iterator[list[int]]:
    """Sample a process's resident memory every 20 ms until the context ends."""
    process, values, over = psutil.Process(pid), list[int](), threading.Event()

    def sample() -> None:
        while not over.wait(_SAMPLE_SECONDS):
            values.append(process.memory_info().rss)

    sampler = threading.Thread(target=sample, name="memory")
    sampler.start()
    try:
        yield values
    finally:
        over.set()
        sampler.join()


async def _with_sessions(channel: grpc.aio.Channel, count: int, frames: int, pid: int) -> list[int]:
    """Return memory samples during that many sessions."""
    async with opened(channel, f"idle-{SIDE_PX}", count) as sessions:
        with resident_bytes(pid) as values:
            await asyncio.gather(*(session.dance(frames) for session in sessions))
    return values


async def _with_streams(
    channel: grpc.aio.Channel, detail: pose_pb2.PoseDetail, count: int, frames: Sequence[Frame], pid: int
) -> list[int]:
    """Return memory samples during that many pose streams."""
    stub = pose_pb2_grpc.PoseServiceStub(channel)  # type: ignore[no-untyped-call]
    calls = [stub.Estimate() for _ in range(count)]
    for call in calls:
        await call.write(pose_pb2.EstimateRequest(config=pose_pb2.EstimateConfig(detail=detail)))
        await call.read()

    async def estimate(call: grpc.aio.StreamStreamCall) -> None:
        for frame in frames:
            message = frame_pb2.Frame(sequence=frame.sequence, picture=converters.picture_to_proto(frame.picture))
            await call.write(pose_pb2.EstimateRequest(frame=message))
            await call.read()

    with resident_bytes(pid) as values:
        await asyncio.gather(*(estimate(call) for call in calls))
    for call in calls:
        call.cancel()
    return values


if __name__ == "__main__":
    typer.run(main)
