"""How many live streams does this machine hold? Real services, 1, 2, 3, ... cameras of 25 frames a second at once.

Streams are added until they are too late or lose too many frames. Each step says what the cameras offered and what was
shown, how late, what a stream costs each process, and how fast the new stream had its first picture. The clients share
one process and cost little (`benchmarks.live_streams`), so a step measures the server; its CPU is said beside the
others. The size and the detail are fixed: nothing steps down. `python -m benchmarks.streams --help`.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import psutil
import typer

from benchmarks import table
from benchmarks.cases import CASES, QUICK_256, SAMPLES, Case, Clip, make_actor, read_clip
from benchmarks.live_streams import RATE_HZ, LiveStream, Load, posed, there_and_back
from benchmarks.processes import cpu_seconds
from client.connection.session import DanceClient
from client.connection.types import SentFrame, TransferOptions
from client.local_stack.stack import LocalStack, local_stack
from motion.frame import Frame
from motion.pose_choice import PoseDetail
from serving.actors.store import ActorStore

LATE_MS: Final = 150.0
"""The 95th percentile of a stream's delay that counts as held."""
ALL_SHOWN: Final = 0.95
"""The share of the cameras' frames that counts as all of them."""
_FEWEST_SHOWN: Final = 0.5
_SETTLING_SECONDS: Final = 2.0
_SAMPLE_SECONDS: Final = 0.25
_CLIP_FRAMES: Final = 50
_SIZES: Final = {256: QUICK_256, 512: CASES[0]}
_CLIENTS: Final = "clients"


class Content(Enum):
    """What the cameras send."""

    PIXELS = "pixels"
    POSES = "poses"


@dataclass(frozen=True)
class Step:
    """What was measured with a number of streams. cpu_s, memory_mib: by process. first_ms: of the added stream."""

    streams: int
    seconds: float
    load: Load
    cpu_s: dict[str, float]
    memory_mib: dict[str, float]
    first_ms: float

    @property
    def holds(self) -> bool:
        """Whether the pictures are in time."""
        return self.load.late_percentile_ms(95) < LATE_MS

    @property
    def shows_all(self) -> bool:
        """Whether they are in time and nearly every frame is shown."""
        return self.holds and self.load.share_shown >= ALL_SHOWN

    @property
    def broken(self) -> bool:
        """Whether another stream would say nothing new."""
        return not self.holds or self.load.share_shown < _FEWEST_SHOWN

    @property
    def busy_cpus(self) -> float:
        """How many CPUs all processes kept busy, the clients' included."""
        return sum(self.cpu_s.values()) / self.seconds

    def cpu_a_stream(self, process: str) -> float:
        """Return the share of one CPU that a stream takes of this process."""
        return self.cpu_s[process] / self.seconds / self.streams


def main(
    source: Annotated[Path, typer.Argument(help="The clip that the cameras show.")] = SAMPLES / "source_clip.mp4",
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure each step.")] = 10.0,
    most: Annotated[int, typer.Option(min=1, max=64, help="Largest number of simultaneous streams.")] = 8,
    size: Annotated[int, typer.Option(help="256 or 512.")] = 256,
    content: Annotated[list[Content], typer.Option(help="Only this; default: both.")] = [],  # noqa: B006  typer copies it
    past_the_end: Annotated[bool, typer.Option(help="Go on to --most although it is broken.")] = False,
) -> None:
    """Add live streams until they are late."""
    if size not in _SIZES:
        raise typer.BadParameter(f"known sizes: 256, 512; not {size}")
    clip = read_clip(source)
    frames = there_and_back(clip.frames[:_CLIP_FRAMES])
    kinds: dict[Content, Sequence[SentFrame]] = {
        kind: frames if kind is Content.PIXELS else posed(Clip(frames, clip.frame_rate_hz))
        for kind in content or list(Content)
    }
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before the start; {seconds:g} s a step\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        for kind, sent in kinds.items():
            steps = asyncio.run(
                _measure(Path(folder) / kind.value, _SIZES[size], sent, seconds, most, past_the_end=past_the_end)
            )
            print("\n" + "\n".join(f"- {line}" for line in conclusions(steps)) + "\n", flush=True)


async def _measure(
    root: Path, case: Case, sent: Sequence[SentFrame], seconds: float, most: int, *, past_the_end: bool
) -> list[Step]:
    actor = make_actor(case, ActorStore(root / "actors"))
    room = str(most + 1)
    settings = {"ORCHESTRATOR_MAX_SESSIONS": room, "POSE_MAX_STREAMS": room}
    options = TransferOptions(actor=actor.id, live=True, detail=PoseDetail.HOLISTIC, frame_rate_hz=RATE_HZ)
    sends = "pixels" if isinstance(sent[0], Frame) else "poses"
    async with AsyncExitStack() as closing:
        stack = await closing.enter_async_context(
            local_stack(root / "actors", root / "logs", settings=settings, load_at_start=case.actor)
        )
        client = await closing.enter_async_context(DanceClient(stack.address))
        warm = LiveStream(sent)
        warm.start(client, options)
        await warm.ready()
        await asyncio.sleep(_SETTLING_SECONDS)
        await warm.end()
        _print_header(f"{sends}, {case.side_px}x{case.side_px}", list(stack.pids))
        streams: list[LiveStream] = []
        steps: list[Step] = []
        try:
            while len(streams) < most and (past_the_end or not steps or not steps[-1].broken):
                streams.append(LiveStream(sent))
                streams[-1].start(client, options)
                await streams[-1].ready()
                await asyncio.sleep(_SETTLING_SECONDS)
                steps.append(await _step(stack, streams, seconds))
                print(_row(steps[-1]), flush=True)
        finally:
            for stream in streams:
                await stream.end()
    return steps


async def _step(stack: LocalStack, streams: list[LiveStream], seconds: float) -> Step:
    trees = {name: _tree(pid) for name, pid in stack.pids.items()}  # to list all processes takes long
    began_s, before = time.monotonic(), _cpu_seconds(stack)
    samples: dict[str, list[float]] = {name: [] for name in stack.pids}
    while (left_s := began_s + seconds - time.monotonic()) > 0:
        for name, tree in trees.items():
            samples[name].append(sum(process.memory_info().rss for process in tree) / 2**20)
        await asyncio.sleep(min(_SAMPLE_SECONDS, left_s))
    ended_s, after = time.monotonic(), _cpu_seconds(stack)
    return Step(
        streams=len(streams),
        seconds=ended_s - began_s,
        load=Load.of(streams, began_s, ended_s),
        cpu_s={name: after[name] - before[name] for name in after},
        memory_mib={name: statistics.median(values) for name, values in samples.items()},
        first_ms=1000 * streams[-1].first_s,
    )


def _cpu_seconds(stack: LocalStack) -> dict[str, float]:
    """Return the CPU time of each process of the stack, and of this one with the clients."""
    return {name: cpu_seconds(pid) for name, pid in stack.pids.items()} | {_CLIENTS: time.process_time()}


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and its children: of the generator, Triton and the actors' processes."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _print_header(what: str, processes: Sequence[str]) -> None:
    rates = "offered, shown a second", "late p50", "p95", "first picture"
    costs = f"CPU a stream: {', '.join((*processes, _CLIENTS))}", "CPUs busy", f"MiB: {', '.join(processes)}"
    print(table.header(what, *rates, *costs), flush=True)


def _row(step: Step) -> str:
    shown = len(step.load.late_ms) / step.seconds
    return table.row(
        f"{step.streams} streams" if step.streams > 1 else "1 stream",
        f"{step.load.offered / step.seconds:.0f}, {shown:.1f}",
        *(f"{step.load.late_percentile_ms(q):.0f} ms" for q in (50, 95)),
        f"{step.first_ms:.0f} ms",
        ", ".join(f"{step.cpu_a_stream(name):.2f}" for name in step.cpu_s),
        f"{step.busy_cpus:.2f}",
        ", ".join(f"{mib:.0f}" for mib in step.memory_mib.values()),
    )


def conclusions(steps: Sequence[Step]) -> list[str]:
    """Return what the steps of one run say, a sentence each. A number that was not reached is said to be so."""
    held = [step.streams for step in steps if step.holds]
    all_shown = [step.streams for step in steps if step.shows_all]
    last = steps[-1]
    lines = [
        f"late by less than {LATE_MS:.0f} ms (p95): {_count(held)}; "
        f"with {100 * ALL_SHOWN:.0f} % of all frames shown: {_count(all_shown)}"
    ]
    if not last.broken:
        were = "was" if last.streams == 1 else "were"
        lines[0] += f". What breaks was not reached: {_count([last.streams])} {were} the most that ran"
    else:
        lines.append(_what_broke(steps))
    shown = len(steps[0].load.late_ms)
    if shown:
        costs = ", ".join(f"{name} {1000 * cpu_s / shown:.1f} ms" for name, cpu_s in steps[0].cpu_s.items())
        lines.append(f"CPU of a shown frame, with {_count([steps[0].streams])}: {costs}")
    if last.streams > steps[0].streams:
        more = last.streams - steps[0].streams
        each = ", ".join(f"{n} {(last.memory_mib[n] - mib) / more:.1f} MiB" for n, mib in steps[0].memory_mib.items())
        lines.append(f"memory of one more stream: {each}")
    else:
        lines.append("memory of one more stream: not reached, since a single stream ran")
    return lines


def _count(streams: Sequence[int]) -> str:
    most = max(streams, default=0)
    return "1 stream" if most == 1 else f"{most} streams" if most else "no stream"


def _what_broke(steps: Sequence[Step]) -> str:
    """Name the stage whose frames wait longest, and the process that takes the most CPU, in the last step."""
    last = steps[-1]
    cpus = os.cpu_count() or 1
    process = max(last.cpu_s, key=lambda name: last.cpu_s[name])
    text = (
        f"with {_count([last.streams])}, {last.busy_cpus:.2f} of {cpus} CPUs are busy, {process} with the most of them"
    )
    if not last.load.waits_ms:
        return f"{text}; no frame was shown"
    waits_ms = last.load.waits_ms
    stage = max(waits_ms, key=lambda name: waits_ms[name])
    before_ms = steps[0].load.waits_ms.get(stage, float("nan"))
    return (
        f"{text}; frames wait longest for {stage}: {waits_ms[stage]:.0f} ms beside its own work (median; "
        f"{before_ms:.0f} ms with {_count([steps[0].streams])})"
    )


if __name__ == "__main__":
    typer.run(main)
