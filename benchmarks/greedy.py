"""Can one greedy session, or a crowd of refused clients, starve others? Measures modest sessions alone and beside them.

Real processes, poses instead of pictures, and networks that do nothing, as in `benchmarks.sessions`. Each modest
session sends 5 frames a second. The greedy one sends as fast as the server lets it and requests the largest possible
answers. The crowd opens sessions on a full server. Prints a table in Markdown. `python -m benchmarks.greedy --help`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated

import grpc.aio
import numpy as np
import typer
from dance.v1 import frame_pb2, transfer_pb2

from benchmarks import table
from benchmarks.posing import PosingSession, idle_stack, opened
from serving.rpc.channels import open_channel

MODEST = 3
_PAUSE_SECONDS = 0.2
_CROWD = 8
_ACTOR = "idle-256"


def main(frames: Annotated[int, typer.Option(min=20, help="Frames of each modest session in each case.")] = 60) -> None:
    """Measure modest sessions alone, beside a greedy one, and while a crowd is refused."""
    asyncio.run(_measure(frames))


async def _measure(frames: int) -> None:
    async with idle_stack(256, max_sessions=MODEST + 1) as (stack, channel), opened(channel, _ACTOR, MODEST) as modest:
        await _dance(modest, 20)
        print(table.header("modest sessions", "a frame's time p50", "p95", "p95 / p95 alone", "beside them"))
        alone_ms = await _dance(modest, frames)
        _print_row("alone", alone_ms, alone_ms, "")
        async with _greedy(stack.address) as counts:
            began_s = time.perf_counter()
            beside_ms = await _dance(modest, frames)
            rate = counts[0] / (time.perf_counter() - began_s)
        _print_row("beside a greedy one", beside_ms, alone_ms, f"it gets {rate:.0f} frames a second")
        async with opened(channel, _ACTOR, 1), _crowd(stack.address) as refused_ms:
            beside_ms = await _dance(modest, frames)
    p95 = np.percentile(refused_ms, 95)
    _print_row("while a crowd is refused", beside_ms, alone_ms, f"{len(refused_ms)} refusals, p95 {p95:.0f} ms")


def _print_row(name: str, taken_ms: list[float], alone_ms: list[float], beside: str) -> None:
    p50, p95 = np.percentile(taken_ms, (50, 95))
    ratio = p95 / np.percentile(alone_ms, 95)
    print(table.row(name, f"{p50:.1f} ms", f"{p95:.1f} ms", f"{ratio:.2f}", beside), flush=True)


async def _dance(modest: list[PosingSession], frames: int) -> list[float]:
    """Return the milliseconds from sending each frame to its answer; the sessions start at even distances."""

    async def dance(session: PosingSession, delay_seconds: float) -> list[float]:
        await asyncio.sleep(delay_seconds)
        return [1000 * seconds async for _, seconds in session.paced(frames, _PAUSE_SECONDS)]

    each = await asyncio.gather(*(dance(one, n / len(modest) * _PAUSE_SECONDS) for n, one in enumerate(modest)))
    return [taken_ms for session in each for taken_ms in session]


@asynccontextmanager
async def _greedy(address: str) -> AsyncIterator[list[int]]:
    """Run a session that never waits until the context ends; return the count of its answers so far."""
    counts = [0]

    async def dance() -> None:
        async with open_channel(address) as channel:
            session = PosingSession(channel)
            output = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW, full_frame=True)
            await session.open(_ACTOR, output=output, look_ahead_frames=30)
            sending = asyncio.create_task(send(session))
            try:
                while True:
                    await session.answer()
                    counts[0] += 1
            finally:
                sending.cancel()
                session.close()

    async def send(session: PosingSession) -> None:
        while True:
            await session.send()

    task = asyncio.create_task(dance())
    try:
        yield counts
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _crowd(address: str) -> AsyncIterator[list[float]]:
    """Run clients that each open ten sessions a second; return the milliseconds until each refusal."""
    refused_ms: list[float] = []

    async def knock() -> None:
        async with open_channel(address) as channel:
            while True:
                began_s = time.perf_counter()
                session = PosingSession(channel)
                try:
                    await session.open(_ACTOR)
                    await session.send()
                    await session.answer()
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
                        refused_ms.append(1000 * (time.perf_counter() - began_s))
                session.close()
                await asyncio.sleep(0.1)

    tasks = [asyncio.create_task(knock()) for _ in range(_CROWD)]
    try:
        yield refused_ms
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


if __name__ == "__main__":
    typer.run(main)
