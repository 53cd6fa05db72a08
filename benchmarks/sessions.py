"""What many sessions cost: real processes, sessions that send poses, and networks that do nothing.

So the chain is measured and not the networks: frames a second of all sessions together, what the chain adds to a frame,
CPU of each process. Prints a report in Markdown. `python -m benchmarks.sessions --help`.
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
import psutil
import typer

from benchmarks.posing import PosingSession, idle_actor
from client.local_stack.stack import LocalStack, local_stack
from serving.actors.store import ActorStore
from serving.rpc.channels import open_channel

_MOST_SESSIONS = 64


def main(
    frames: Annotated[int, typer.Option(min=20, help="Of each session.")] = 150,
    most: Annotated[
        int, typer.Option(min=2, max=_MOST_SESSIONS, help="Sessions at the same time, at most.")
    ] = _MOST_SESSIONS,
) -> None:
    """1, 2, 4, ... sessions at the same time; then one that is paced."""
    for name in ("ORCHESTRATOR_MAX_SESSIONS", "POSE_MAX_STREAMS", "NORMALIZE_MAX_STREAMS"):
        os.environ[name] = str(2 * _MOST_SESSIONS)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), frames, most))


async def _measure(root: Path, frames: int, most: int) -> None:
    store = ActorStore(root / "actors")
    for side_px in (256, 512):
        idle_actor(store, f"idle-{side_px}", side_px)
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


async def _together(channel: grpc.aio.Channel, actor: str, count: int, frames: int) -> float:
    """Frames a second of so many sessions at the same time."""
    sessions = [PosingSession(channel) for _ in range(count)]
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
    session = PosingSession(channel)
    await session.open(actor)
    added = []
    for sequence in range(frames):
        await session.send(sequence)
        answer = await session.answer()
        added.append(answer.frame_seconds - sum(spent.compute_seconds for spent in answer.stage_times))
        await asyncio.sleep(0.1)
    session.close()
    return added[10:]


def _cpu_seconds(stack: LocalStack) -> dict[str, float]:
    """User and system time of each process and its children."""
    used = {}
    for name, pid in stack.pids.items():
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        used[name] = sum(sum(member.cpu_times()[:2]) for member in family)
    return used


if __name__ == "__main__":
    typer.run(main)
