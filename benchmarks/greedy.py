"""Can one greedy session, or a crowd at the door, starve the others? Modest sessions, alone and beside them.

Real processes, poses in place of pictures, and networks that do nothing, as in `benchmarks.sessions`. The modest ones
dance 5 frames a second each; the greedy one sends as fast as it is let, and wants the largest answers there are; the
crowd opens sessions on a server that is full. Prints a table in Markdown. `python -m benchmarks.greedy --help`.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated

import grpc.aio
import numpy as np
import typer
from dance.v1 import frame_pb2, transfer_pb2

from benchmarks.posing import PosingSession, idle_actor
from client.local_stack.stack import local_stack
from serving.actors.store import ActorStore
from serving.rpc.channels import open_channel

MODEST = 3
_PAUSE_SECONDS = 0.2
_CROWD = 8


def main(frames: Annotated[int, typer.Option(min=20, help="Of each modest session, in each case.")] = 60) -> None:
    """Modest sessions alone, beside a greedy one, and while a crowd is refused."""
    os.environ["ORCHESTRATOR_MAX_SESSIONS"] = str(MODEST + 1)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), frames))


async def _measure(root: Path, frames: int) -> None:
    store = ActorStore(root / "actors")
    idle_actor(store, "idle", 256)
    async with local_stack(root / "actors", root / "logs") as stack, open_channel(stack.address) as channel:
        async with _opened(channel, MODEST) as modest:
            await _dance(modest, 20)
            print(
                "| modest sessions | a frame's time p50 | p95 | p95 / p95 alone | beside them |\n|---|---|---|---|---|"
            )
            alone_ms = await _dance(modest, frames)
            _row("alone", alone_ms, alone_ms, "")
            async with _greedy(stack.address) as counts:
                began_s = time.perf_counter()
                beside_ms = await _dance(modest, frames)
                rate = counts[0] / (time.perf_counter() - began_s)
            _row("beside a greedy one", beside_ms, alone_ms, f"it dances {rate:.0f} frames a second")
            async with _opened(channel, 1), _crowd(stack.address) as refused_ms:
                beside_ms = await _dance(modest, frames)
        p95 = np.percentile(refused_ms, 95)
        _row("while a crowd is refused", beside_ms, alone_ms, f"{len(refused_ms)} refusals, p95 {p95:.0f} ms")


def _row(name: str, taken_ms: list[float], alone_ms: list[float], beside: str) -> None:
    p50, p95 = np.percentile(taken_ms, (50, 95))
    print(f"| {name} | {p50:.1f} ms | {p95:.1f} ms | {p95 / np.percentile(alone_ms, 95):.2f} | {beside} |", flush=True)


class _Modest:
    """A session that sends its next frame a while after the last one's answer."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.session = PosingSession(channel)
        self._sequence = 0

    async def dance(self, frames: int, phase: float) -> list[float]:
        """Milliseconds from sending a frame to its answer. phase: of the pause that it begins late."""
        await asyncio.sleep(phase * _PAUSE_SECONDS)
        taken_ms = []
        for _ in range(frames):
            began_s = time.perf_counter()
            await self.session.send(self._sequence)
            await self.session.answer()
            taken_ms.append(1000 * (time.perf_counter() - began_s))
            self._sequence += 1
            await asyncio.sleep(_PAUSE_SECONDS)
        return taken_ms


@asynccontextmanager
async def _opened(channel: grpc.aio.Channel, count: int) -> AsyncIterator[list[_Modest]]:
    """So many sessions, open while the context lasts."""
    opened: list[_Modest] = []
    while len(opened) < count:
        modest = _Modest(channel)
        try:
            await modest.session.open("idle")
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            await asyncio.sleep(0.2)  # the place of the session before is not free yet
        else:
            opened.append(modest)
    try:
        yield opened
    finally:
        for one in opened:
            one.session.close()


async def _dance(modest: list[_Modest], frames: int) -> list[float]:
    taken = await asyncio.gather(*(one.dance(frames, n / len(modest)) for n, one in enumerate(modest)))
    return [each for session in taken for each in session]


@asynccontextmanager
async def _greedy(address: str) -> AsyncIterator[list[int]]:
    """A session that never waits, while the context lasts; how many answers it got so far."""
    counts = [0]

    async def dance() -> None:
        async with open_channel(address) as channel:
            session = PosingSession(channel)
            output = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW, full_frame=True)
            await session.open("idle", output=output, look_ahead_frames=30)
            sending = asyncio.create_task(send(session))
            try:
                while True:
                    await session.answer()
                    counts[0] += 1
            finally:
                sending.cancel()
                session.close()

    async def send(session: PosingSession) -> None:
        sequence = 0
        while True:
            await session.send(sequence)
            sequence += 1

    task = asyncio.create_task(dance())
    try:
        yield counts
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _crowd(address: str) -> AsyncIterator[list[float]]:
    """Clients that open sessions again and again, ten times a second each; milliseconds until each refusal."""
    refused_ms: list[float] = []

    async def knock() -> None:
        async with open_channel(address) as channel:
            while True:
                began_s = time.perf_counter()
                session = PosingSession(channel)
                try:
                    await session.open("idle")
                    await session.send(0)
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
