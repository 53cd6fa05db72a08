"""What does the pipeline itself cost, compared with gRPC alone?

The result is a ratio: the CPU time a frame of orchestrator + normalize, divided by that of two bare processes that only
move messages of the same sizes over as many calls and streams (`benchmarks.bare_relay`). Both use stages that answer at
once and get frames at the same rate, in turns, in one run, so other load on the machine affects both alike.
Milliseconds do depend on that load and on the rate, because caches get cold between frames. Only compare ratios of one
table at one rate. docs/decisions/0007-what-a-frame-costs.md explains this.

The second table is the time from a frame to its answer, through stages that answer at once: the latency that the chain
adds. On a busy machine it says little.

Prints a table in Markdown. `python -m benchmarks.chain_cost --help`.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import cv2
import grpc.aio
import numpy as np
import typer
from dance.v1 import frame_pb2, transfer_pb2, transfer_pb2_grpc

from benchmarks import bare_relay, table
from benchmarks.posing import idle_actor
from benchmarks.processes import cpu_seconds, running
from benchmarks.stand_ins import add_stand_ins, dancer
from motion.frame import FrameSize, PictureEncoding
from serving.actors.store import ActorStore
from serving.pictures.codec import encode_picture
from serving.rpc import converters
from serving.rpc.channels import open_channel
from serving.rpc.server import SERVER_OPTIONS

SIDES_PX: Final = (256, 512)
WARM_UP_FRAMES: Final = 30
_SOURCE: Final = FrameSize(1280, 720)
_JPEG_QUALITY: Final = 80
_CROP_PX: Final = 128
_RATE_HZ: Final = 25.0
_NORMALIZED_BYTES: Final = 6_000
"""The size of a normalised pose with `state_after`, which varies from frame to frame."""

Send = Callable[[int], Awaitable[None]]
Receive = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Way:
    """One path for frames: how to send a frame and receive an answer, and the two processes on the path."""

    send: Send
    receive: Receive
    pids: tuple[int, int]


@dataclass(frozen=True)
class Round:
    """CPU time a frame of each process, and the time of each frame through the chain and through the bare processes."""

    orchestrator_ms: float
    relay_ms: float
    normalize_ms: float
    echo_ms: float
    chain_latencies_ms: list[float]
    bare_latencies_ms: list[float]


def main(
    frames: Annotated[int, typer.Option(min=20, help="Frames in a round.")] = 200,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the report shows medians.")] = 3,
    rate: Annotated[float, typer.Option(min=0, help="Frames a second; 0 sends as fast as answers come.")] = 20.0,
) -> None:
    """Compare the CPU time a frame of orchestrator and normalize with bare gRPC, at 256x256 and 512x512."""
    print(f"{frames} frames at {f'{rate:g} a second' if rate else 'full speed'}, medians of {rounds} rounds\n")
    pairs = ("orchestrator", "bare relay", "ratio", "normalize", "bare echo", "ratio", "together", "bare", "ratio")
    print(table.header("size", *pairs))
    measured = {}
    for side_px in SIDES_PX:
        with tempfile.TemporaryDirectory() as folder:
            measured[side_px] = asyncio.run(_measure(side_px, Path(folder), frames, rounds, rate))
        print(_row(side_px, measured[side_px]), flush=True)
    print(f"\nFrom a frame to its answer, {frames * rounds} frames\n")
    print(table.header("size", "chain p50", "p95", "p99", "bare p50", "p95", "p99"))
    for side_px, rows in measured.items():
        print(_latency_row(side_px, rows))


async def _measure(side_px: int, root: Path, frames: int, rounds: int, rate_hz: float) -> list[Round]:
    idle_actor(ActorStore(root / "actors"), "anna", side_px)
    request = _request_maker()
    async with AsyncExitStack() as closing:
        chain = await closing.enter_async_context(_chain(root, request))
        bare = await closing.enter_async_context(_bare(side_px, root, request(0).ByteSize(), side_px**2 // 4))
        for way in (chain, bare):
            await _exchange(way, 0, WARM_UP_FRAMES, rate_hz)
        costs = []
        for number in range(rounds):
            first = WARM_UP_FRAMES + number * frames
            (orchestrator_ms, normalize_ms), chain_ms = await _cost_ms(chain, first, frames, rate_hz)
            (relay_ms, echo_ms), bare_ms = await _cost_ms(bare, first, frames, rate_hz)
            costs.append(Round(orchestrator_ms, relay_ms, normalize_ms, echo_ms, chain_ms, bare_ms))
    return costs


async def _cost_ms(way: Way, first: int, frames: int, rate_hz: float) -> tuple[tuple[float, float], list[float]]:
    """Return the CPU time a frame of the way's two processes, and the latency of each frame."""
    before = [cpu_seconds(pid) for pid in way.pids]
    latencies_ms = await _exchange(way, first, frames, rate_hz)
    first_ms, second_ms = (1000 * (cpu_seconds(pid) - b) / frames for pid, b in zip(way.pids, before, strict=True))
    return (first_ms, second_ms), latencies_ms


async def _exchange(way: Way, first: int, frames: int, rate_hz: float) -> list[float]:
    """Send frames and receive as many answers at the same time; return the milliseconds from each to its answer."""
    sent_at_s: list[float] = []
    latencies_ms: list[float] = []

    async def send() -> None:
        for sequence in range(first, first + frames):
            sent_at_s.append(time.perf_counter())
            await way.send(sequence)
            if rate_hz:
                await asyncio.sleep(1 / rate_hz)

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        for number in range(frames):
            await way.receive()
            latencies_ms.append(1000 * (time.perf_counter() - sent_at_s[number]))
    return latencies_ms


@asynccontextmanager
async def _chain(root: Path, request: Callable[[int], transfer_pb2.TransferRequest]) -> AsyncIterator[Way]:
    async with AsyncExitStack() as closing:
        stages = await closing.enter_async_context(_served(add_stand_ins))
        normalize = await closing.enter_async_context(running(root, "services.normalize"))
        addresses = dict.fromkeys(("POSE", "TRITON", "FACE", "AGENT"), stages)
        addresses["NORMALIZE"] = normalize.address
        settings = {f"ORCHESTRATOR_{name}_ADDRESS": address for name, address in addresses.items()}
        settings["ORCHESTRATOR_ACTORS_ROOT"] = str(root / "actors")
        orchestrator = await closing.enter_async_context(running(root, "orchestrator", **settings))
        channel = await closing.enter_async_context(open_channel(orchestrator.address))
        call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()  # type: ignore[no-untyped-call]
        closing.callback(call.cancel)
        config = transfer_pb2.TransferConfig(actor="anna", frame_rate_hz=_RATE_HZ)
        await call.write(transfer_pb2.TransferRequest(config=config))
        await call.read()

        async def receive() -> None:
            answer = (await call.read()).answer
            if answer.WhichOneof("result") != "picture":
                raise RuntimeError(f"expected a picture, got {answer}")

        yield Way(lambda sequence: call.write(request(sequence)), receive, (orchestrator.pid, normalize.pid))


@asynccontextmanager
async def _bare(side_px: int, logs: Path, request_bytes: int, answer_bytes: int) -> AsyncIterator[Way]:
    pose_bytes = converters.pose_to_proto(dancer(0, _SOURCE.width_px, _SOURCE.height_px)).ByteSize()
    picture_bytes, crop_bytes = side_px * side_px * 3, _CROP_PX * _CROP_PX * 3

    def add(server: grpc.aio.Server) -> None:
        unary = {
            bare_relay.GENERATOR: bare_relay.constant(picture_bytes),
            bare_relay.FACE: bare_relay.constant(crop_bytes),
        }
        streams = {bare_relay.POSE: bare_relay.echo(pose_bytes)}
        server.add_generic_rpc_handlers((bare_relay.handlers(streams, unary),))

    async with AsyncExitStack() as closing:
        stages = await closing.enter_async_context(_served(add))
        module = "benchmarks.bare_relay"
        echo = await closing.enter_async_context(running(logs, module, "echo", str(_NORMALIZED_BYTES)))
        words = (echo.address, stages, *map(str, (pose_bytes, 2 * picture_bytes, 2 * crop_bytes, answer_bytes)))
        relay = await closing.enter_async_context(running(logs, module, "relay", *words))
        channel = await closing.enter_async_context(open_channel(relay.address))
        call = channel.stream_stream(bare_relay.path(bare_relay.TRANSFER))()
        closing.callback(call.cancel)
        message = bytes(request_bytes)
        yield Way(lambda _: call.write(message), call.read, (relay.pid, echo.pid))


def _request_maker() -> Callable[[int], transfer_pb2.TransferRequest]:
    noise = np.random.default_rng(0).integers(0, 255, (_SOURCE.height_px, _SOURCE.width_px, 3), np.uint8)
    picture = encode_picture(
        np.asarray(cv2.GaussianBlur(noise, (31, 31), 0), np.uint8), PictureEncoding.JPEG, _JPEG_QUALITY
    )
    message = frame_pb2.Picture()
    converters.fill_picture(message, picture)
    return lambda sequence: transfer_pb2.TransferRequest(
        frame=transfer_pb2.TransferFrame(sequence=sequence, picture=message)
    )


@asynccontextmanager
async def _served(add: Callable[[grpc.aio.Server], Any]) -> AsyncIterator[str]:
    """Run a server in this process and return its address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    add(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


def _row(side_px: int, rounds: list[Round]) -> str:
    """Return a row of medians; each ratio is the median of the rounds' ratios."""
    columns = [f"{side_px}x{side_px}"]
    for pairs in (
        [(one.orchestrator_ms, one.relay_ms) for one in rounds],
        [(one.normalize_ms, one.echo_ms) for one in rounds],
        [(one.orchestrator_ms + one.normalize_ms, one.relay_ms + one.echo_ms) for one in rounds],
    ):
        ours_ms, bare_ms = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(ours / bare for ours, bare in pairs)
        columns += [f"{ours_ms:.2f} ms", f"{bare_ms:.2f} ms", f"{ratio:.1f}"]
    return table.row(*columns)


def _latency_row(side_px: int, rounds: list[Round]) -> str:
    columns = [f"{side_px}x{side_px}"]
    for latencies_ms in (
        [value for one in rounds for value in one.chain_latencies_ms],
        [value for one in rounds for value in one.bare_latencies_ms],
    ):
        columns += [f"{value:.1f} ms" for value in np.percentile(latencies_ms, (50, 95, 99))]
    return table.row(*columns)


if __name__ == "__main__":
    typer.run(main)
