"""What do many sessions cost? Real processes, sessions that send poses, and networks that do nothing.

This measures the pipeline without the networks: frames a second of all sessions together, the time that the pipeline
adds to a frame, and the CPU time of each process. Prints a report in Markdown. `python -m benchmarks.sessions --help`.
"""

from __future__ import annotations

import asyncio
import time
from typing import Annotated

import grpc.aio
import numpy as np
import typer

from benchmarks import table
from benchmarks.posing import idle_stack, opened
from benchmarks.processes import cpu_seconds

_MOST_SESSIONS = 64


def main(
    frames: Annotated[int, typer.Option(min=20, help="Frames of each session.")] = 150,
    most: Annotated[
        int, typer.Option(min=2, max=_MOST_SESSIONS, help="Largest number of simultaneous sessions.")
    ] = _MOST_SESSIONS,
) -> None:
    """Measure 1, 2, 4, ... simultaneous sessions, then one paced session."""
    asyncio.run(_measure(frames, most))


async def _measure(frames: int, most: int) -> None:
    async with idle_stack(256, 512, max_sessions=2 * _MOST_SESSIONS) as (stack, channel):
        await _together(channel, "idle-256", 2, 20)
        await _together(channel, "idle-512", 1, 20)
        processes = ", ".join(stack.pids)
        print(table.header("sessions", "frames a second, all together", "of the best", f"CPU a frame: {processes}"))
        best, count = 0.0, 1
        while count <= most:
            before = {name: cpu_seconds(pid) for name, pid in stack.pids.items()}
            of_each = max(20, frames // max(1, count // 4))
            rate = await _together(channel, "idle-256", count, of_each)
            used = [1000 * (cpu_seconds(pid) - before[name]) / (count * of_each) for name, pid in stack.pids.items()]
            best = max(best, rate)
            shown = ", ".join(f"{one:.1f}" for one in used)
            print(table.row(str(count), f"{rate:.0f}", f"{rate / best:.2f}", f"{shown} ms"), flush=True)
            count *= 2
        print("\n" + table.header("one session, 10 frames a second", "added by the pipeline p50", "p95", "goal"))
        for side_px in (256, 512):
            p50, p95 = np.percentile(await _added_ms(channel, f"idle-{side_px}", 100), (50, 95))
            print(table.row(f"{side_px}x{side_px}", f"{p50:.1f} ms", f"{p95:.1f} ms", "5 ms"), flush=True)


async def _together(channel: grpc.aio.Channel, actor: str, count: int, frames: int) -> float:
    """Return the frames a second of that many simultaneous sessions."""
    async with opened(channel, actor, count) as sessions:
        began_s = time.perf_counter()
        await asyncio.gather(*(session.dance(frames) for session in sessions))
        return count * frames / (time.perf_counter() - began_s)


async def _added_ms(channel: grpc.aio.Channel, actor: str, frames: int) -> list[float]:
    """Return each frame's time in the orchestrator without the stages' own work."""
    async with opened(channel, actor, 1) as (session,):
        added = [
            1000 * (answer.frame_seconds - sum(spent.compute_seconds for spent in answer.stage_times))
            async for answer, _ in session.paced(frames, pause_seconds=0.1)
        ]
    return added[10:]


if __name__ == "__main__":
    typer.run(main)
