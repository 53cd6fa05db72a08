"""How fast is the pipeline, compared with the same models in a plain loop, and what does the pipeline itself cost?

One run measures everything in turns, so ratios also hold on a shared machine. Prints a report in Markdown.
`python -m benchmarks.pipeline --help`.
"""

from __future__ import annotations

import asyncio
import functools
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import psutil
import tritonclient.grpc as triton
import typer

from benchmarks import plain_loop, table, wire_sizes
from benchmarks.cases import CASES, Case, Clip, make_actor, read_clip, stream
from benchmarks.processes import cpu_seconds
from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.local_stack.stack import LocalStack, local_stack
from motion.body import BodyStats
from motion.frame import Frame, Picture
from services.generator.inputs import input_shapes
from services.generator.network import served_generator
from serving.actors.store import Actor, ActorStore
from serving.inference.engine import open_engine
from serving.rpc.channels import CHANNEL_OPTIONS

WARM_UP_FRAMES = 10
CHAIN = ("orchestrator", "normalize")
TOGETHER = 4
"""Simultaneous sessions, in addition to one alone; the plain loop has as many clips, one after another."""


@dataclass
class Rates:
    """Frames per second of one case and CPU time of the pipeline's processes, one entry for each round."""

    pipeline: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    eager: list[float] = field(default_factory=list)
    pipeline_together: list[float] = field(default_factory=list)
    plain_together: list[float] = field(default_factory=list)
    cpu_ms_per_frame: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in CHAIN})


@dataclass
class GeneratorTimes:
    """Milliseconds a picture: PyTorch eager float32, our engine in this process, and our engine through Triton."""

    eager_ms: float
    engine_ms: float
    triton_ms: float
    precision: str


def main(
    frames: Annotated[int, typer.Option(min=20, help="Frames of the sample clip in a round.")] = 100,
    slow_frames: Annotated[int, typer.Option(min=2, help="Frames in a round of the eager loop at 512x512.")] = 6,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the report shows medians.")] = 3,
    case: Annotated[list[str] | None, typer.Option(help="Measure only this case; repeat for several.")] = None,
) -> None:
    """Compare pipeline and plain loop, generator and PyTorch; measure CPU and bytes of the pipeline."""
    chosen = [one for one in CASES if not case or one.name in case]
    if not chosen:
        raise typer.BadParameter(f"known cases: {', '.join(one.name for one in CASES)}")
    clip = read_clip()
    print(f"# Pipeline, {platform.processor() or platform.machine()}, {psutil.cpu_count()} cores\n")
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        store = ActorStore(root / "actors")
        for one in chosen:
            actor = make_actor(one, store)
            few = frames if one.side_px == 256 else max(2 * WARM_UP_FRAMES, frames // 3)
            slow = frames if one.side_px == 256 else slow_frames
            asyncio.run(_measure(one, actor, clip, root, (few, min(slow, few)), rounds))


async def _measure(
    case: Case, actor: Actor, clip: Clip, root: Path, frame_counts: tuple[int, int], rounds: int
) -> None:
    frames, eager_frames = clip.frames[: frame_counts[0]], clip.frames[: frame_counts[1]]
    rates = Rates()
    served, eager = plain_loop.served_networks(actor), plain_loop.eager_networks(actor)
    async with local_stack(root / "actors", root / "logs") as stack, DanceClient(stack.address) as client:
        body = (await client.fit_body(stream(clip.frames))).body
        sizes = await wire_sizes.per_frame(stack, root, actor, clip, body)
        await _pipeline_rate(stack, client, actor, clip, body, frames[:WARM_UP_FRAMES], Rates())
        for number in range(rounds):
            await _pipeline_rate(stack, client, actor, clip, body, frames, rates)
            counted_from = min(WARM_UP_FRAMES, len(frames) // 2)
            plain = functools.partial(plain_loop.frames_per_second, actor, clip, body, served, frames, counted_from)
            rates.plain.append(await asyncio.to_thread(plain))
            rates.pipeline_together.append(await _together_rate(client, actor, clip, body, frames))
            # All clips have the same number of frames, so their joint rate is the harmonic mean.
            rates.plain_together.append(
                statistics.harmonic_mean([await asyncio.to_thread(plain) for _ in range(TOGETHER)])
            )
            rates.eager.append(
                await asyncio.to_thread(
                    plain_loop.frames_per_second, actor, clip, body, eager, eager_frames, min(2, len(eager_frames) // 2)
                )
            )
            measured = {name: values[-1] for name, values in vars(rates).items() if isinstance(values, list)}
            rates_now = ", ".join(f"{name} {value:.2f}" for name, value in measured.items())
            print(f"{case.name}, round {number + 1} of {rounds}, frames/s: {rates_now}", file=sys.stderr, flush=True)
        times = await asyncio.to_thread(
            _generator_times, actor, stack.ready["generator"].addresses["triton_address"], rounds
        )
    _report(case, rates, times, sizes)


async def _pipeline_rate(
    stack: LocalStack,
    client: DanceClient,
    actor: Actor,
    clip: Clip,
    body: BodyStats,
    frames: list[Frame],
    rates: Rates,
) -> None:
    """Run one session over `frames`; add its rate and CPU time without the first frames to `rates`."""
    options = TransferOptions(actor=actor.id, source_body=body, frame_rate_hz=clip.frame_rate_hz)
    started, counted_from = 0.0, min(WARM_UP_FRAMES, len(frames) // 2)
    before: dict[str, float] = {}
    async with client.transfer(options) as session:
        async for answer in session.answers(stream(frames)):
            if answer.sequence == counted_from - 1:
                started = time.perf_counter()
                before = {name: cpu_seconds(stack.pids[name]) for name in CHAIN}
    counted = len(frames) - counted_from
    rates.pipeline.append(counted / (time.perf_counter() - started))
    for name in CHAIN:
        used_seconds = cpu_seconds(stack.pids[name]) - before[name]
        rates.cpu_ms_per_frame[name].append(1000 * used_seconds / counted)


async def _together_rate(client: DanceClient, actor: Actor, clip: Clip, body: BodyStats, frames: list[Frame]) -> float:
    """Return the frames a second of several sessions; timing starts when each has answers for its first frames."""
    counted_from = min(WARM_UP_FRAMES, len(frames) // 2)
    warm = asyncio.Barrier(TOGETHER + 1)

    async def dance() -> None:
        begun = asyncio.Event()

        async def source() -> AsyncIterator[Frame]:
            for frame in frames:
                if frame.sequence == counted_from:
                    await begun.wait()
                yield frame

        options = TransferOptions(actor=actor.id, source_body=body, frame_rate_hz=clip.frame_rate_hz)
        async with client.transfer(options) as session:
            async for answer in session.answers(source()):
                if answer.sequence == counted_from - 1:
                    await warm.wait()
                    begun.set()

    async with asyncio.TaskGroup() as group:
        for _ in range(TOGETHER):
            group.create_task(dance())
        await warm.wait()
        started = time.perf_counter()
    return TOGETHER * (len(frames) - counted_from) / (time.perf_counter() - started)


def _generator_times(actor: Actor, triton_address: str, rounds: int) -> GeneratorTimes:
    rng = np.random.default_rng(0)
    pictures = {name: rng.integers(0, 256, shape, dtype=np.uint8) for name, shape in input_shapes(actor).items()}
    engine = open_engine(actor.generator_path, threads=plain_loop.THREADS, inputs=actor.generator.inputs)
    eager = plain_loop.eager(served_generator(actor.generator_path, actor.generator.padding))
    client = triton.InferenceServerClient(triton_address, channel_args=list(CHANNEL_OPTIONS))
    ways: dict[str, Callable[[], object]] = {
        "eager": lambda: eager(*pictures.values()),
        "engine": lambda: engine.run(*pictures.values()),
        "triton": lambda: _through_triton(client, actor, pictures),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(max(rounds, 3)):
        for name, way in ways.items():
            repeats = 3 if name == "eager" else 12
            for _ in range(repeats):
                started = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - started)
    client.close()
    median_ms = {name: 1000 * statistics.median(values) for name, values in seconds.items()}
    return GeneratorTimes(median_ms["eager"], median_ms["engine"], median_ms["triton"], engine.precision)


def _through_triton(client: triton.InferenceServerClient, actor: Actor, pictures: Mapping[str, Picture]) -> object:
    inputs = []
    for name, pixels in pictures.items():
        tensor = triton.InferInput(name, [1, *pixels.shape], "UINT8")
        tensor.set_data_from_numpy(pixels[None])
        inputs.append(tensor)
    outputs = [triton.InferRequestedOutput("FRAME")]
    return client.infer(actor.id, inputs, model_version=str(actor.version), outputs=outputs).as_numpy("FRAME")


def _report(case: Case, rates: Rates, times: GeneratorTimes, sizes: dict[str, int]) -> None:
    large = case.side_px > 256
    pipeline, plain, eager = (statistics.median(values) for values in (rates.pipeline, rates.plain, rates.eager))
    # Ratios are taken within a round, because other load on the machine is the same for both.
    against_plain = statistics.median(a / b for a, b in zip(rates.pipeline, rates.plain, strict=True))
    against_eager = statistics.median(a / b for a, b in zip(rates.pipeline, rates.eager, strict=True))
    cpu_ms = {name: statistics.median(values) for name, values in rates.cpu_ms_per_frame.items()}
    print(f"## {case.name}, inference in {times.precision}\n")
    together, one_by_one = (statistics.median(rates.pipeline_together), statistics.median(rates.plain_together))
    against_one_by_one = statistics.median(
        a / b for a, b in zip(rates.pipeline_together, rates.plain_together, strict=True)
    )
    engine, through_triton = (f"{ms:.1f} ms, {times.eager_ms / ms:.1f}x" for ms in (times.engine_ms, times.triton_ms))
    lines = [
        ("pipeline", f"{pipeline:.2f} frames/s", ""),
        ("plain loop, same models", f"{plain:.2f} frames/s", ""),
        ("plain loop, generator in PyTorch eager float32", f"{eager:.3f} frames/s", ""),
        ("pipeline / plain loop", f"{against_plain:.2f}", "1.0"),
        (f"pipeline, {TOGETHER} sessions at the same time", f"{together:.2f} frames/s, all together", ""),
        (f"plain loop, {TOGETHER} clips one after another", f"{one_by_one:.2f} frames/s", ""),
        (f"pipeline / plain loop, {TOGETHER} sessions", f"{against_one_by_one:.2f}", "1.3"),
        ("pipeline / eager loop", f"{against_eager:.2f}", "4" if large else "2.5"),
        ("generator, PyTorch eager float32", f"{times.eager_ms:.1f} ms", ""),
        ("generator, engine in process", engine, ""),
        ("generator, through Triton", through_triton, "8x" if large else "6x"),
        ("CPU of orchestrator + normalize", f"{sum(cpu_ms.values()):.2f} ms a frame", "6 ms" if large else "3 ms"),
        *((f"- {name}", f"{value:.2f} ms a frame", "") for name, value in cpu_ms.items()),
        *((f"bytes, {hop}", f"{size:,} a frame", "") for hop, size in sizes.items()),
    ]
    print("\n".join([table.header("what", "value", "goal"), *(table.row(*line) for line in lines)]))
    print(flush=True)


if __name__ == "__main__":
    typer.run(main)
