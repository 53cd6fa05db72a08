"""Is it real-time? From a camera's glass to the screen's, through real processes: delay, jitter, shown of offered.

The camera plays a clip at 25 Hz with a number drawn into every frame. Each shown picture has above it the strip of the
frame that it answers, and the number is read back from there. A frame's clock starts when the camera has it, even if it
is taken later, and stops when its picture is handed to the screen. Every client is a process, and so is every service;
all are on this machine. `python -m benchmarks.live --help`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer

from benchmarks import table
from benchmarks.cases import CASES, QUICK_256, SAMPLES, Case, make_actor
from benchmarks.live_client import START_FRAMES, Measured
from benchmarks.processes import cpu_seconds
from client.commands.options import PosePlace
from client.errors import CommandError
from client.local_stack.stack import LocalStack, local_stack
from serving.actors.sizes import picture_sizes
from serving.actors.store import ActorStore

_SIZES: Final = {256: QUICK_256, 512: CASES[0]}
_WARM_SECONDS: Final = 4.0
_ADAPTING_SECONDS: Final = 15.0
"""How long an adaptive session has to find its rung before it is measured."""


@dataclass(frozen=True)
class Setting:
    """How many clients run at once, where their poses are estimated, and whether the server chooses the rung."""

    name: str
    pose: PosePlace
    streams: int
    adaptive: bool = False


SETTINGS: Final = (
    Setting("pixels", PosePlace.SERVER, 1),
    Setting("poses", PosePlace.HERE, 1),
    Setting("two of pixels", PosePlace.SERVER, 2),
    Setting("two of poses", PosePlace.HERE, 2),
    Setting("adaptive pixels", PosePlace.SERVER, 1, adaptive=True),
    Setting("adaptive poses", PosePlace.HERE, 1, adaptive=True),
)
_NAMES: Final = ", ".join(setting.name for setting in SETTINGS)


def main(
    source: Annotated[Path, typer.Argument(help="The clip that the camera shows.")] = SAMPLES / "source_clip.mp4",
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure each case.")] = 20.0,
    size: Annotated[list[int], typer.Option(help="256 or 512; default: both.")] = [],  # noqa: B006  typer copies it
    case: Annotated[list[str], typer.Option(help=f"One of: {_NAMES}; default: all.")] = [],  # noqa: B006
) -> None:
    """Measure live sessions at 256x256 and 512x512: what is sent, one client and two at once."""
    if unknown := set(case) - {setting.name for setting in SETTINGS}:
        raise typer.BadParameter(f"known cases: {_NAMES}; not {', '.join(unknown)}")
    if unknown_sizes := set(size) - set(_SIZES):
        raise typer.BadParameter(f"known sizes: 256, 512; not {', '.join(map(str, unknown_sizes))}")
    cases = [_SIZES[one] for one in size or _SIZES]
    settings = [setting for setting in SETTINGS if not case or setting.name in case]
    for setting in settings:
        if case and not any(exists(setting, one) for one in cases):
            sizes = " and ".join(str(side_px) for side_px, one in _SIZES.items() if exists(setting, one))
            raise typer.BadParameter(f"the case {setting.name!r} exists only with --size {sizes}")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure_all(Path(folder), source, seconds, cases, settings))


def exists(setting: Setting, case: Case) -> bool:
    """Say whether a setting can be measured with the case's actor: an adaptive one needs sizes to choose from."""
    sample = ActorStore(SAMPLES / "actors").load("sample")
    crop = replace(sample.crop, out_width_px=case.side_px, out_height_px=case.side_px)
    return not setting.adaptive or len(picture_sizes(replace(sample, crop=crop))) > 1


async def _measure_all(root: Path, source: Path, seconds: float, cases: list[Case], settings: list[Setting]) -> None:
    store = ActorStore(root / "actors")
    for case in cases:
        make_actor(case, store)
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} CPUs, load {load:.1f} before the start; {seconds:g} s a case\n", flush=True)
    delays = "glass to glass p50", "p95"
    start = f"first {START_FRAMES} frames: shown, p95"
    columns = ("size", "sent", "offered, shown a second", *delays, "jitter", start, "CPUs busy", "drawn at")
    print(table.header(*columns), flush=True)
    for case in cases:
        # A stack for each size, so that no actor of another one is loaded beside it.
        async with local_stack(root / "actors", root / f"logs-{case.side_px}", load_at_start=case.actor) as stack:
            for setting in settings:
                if not exists(setting, case):
                    continue
                streams, busy = await _measured(stack, case, source, setting, seconds)
                for stream in streams:
                    print(_row(case, setting, stream, busy), flush=True)


def _row(case: Case, setting: Setting, stream: Measured, busy: float) -> str:
    rates = f"{stream.offered / stream.seconds:.1f}, {len(stream.late_ms) / stream.seconds:.1f}"
    delays = [f"{_percentile(stream.late_ms, q):.0f} ms" for q in (50, 95)]
    jitter = f"{np.std(stream.intervals_ms):.0f} ms" if stream.intervals_ms else "-"
    start = f"{len(stream.start_late_ms)}, {_percentile(stream.start_late_ms, 95):.0f} ms"
    size = f"{case.side_px}x{case.side_px}, {stream.precision}"
    drawn_at = "; ".join(f"{rung}: {count}" for rung, count in stream.drawn_at.items())
    return table.row(size, setting.name, rates, *delays, jitter, start, f"{busy:.2f}", drawn_at)


def _percentile(values: list[float], q: float) -> float:
    return float(np.percentile(values, q)) if values else float("nan")


async def _measured(
    stack: LocalStack, case: Case, source: Path, setting: Setting, seconds: float
) -> tuple[list[Measured], float]:
    """Run the clients of one case. Also returns how many CPUs the whole chain kept busy. Raises CommandError."""
    arguments = (stack.address, case.actor, str(source), "--pose", setting.pose.value, "--seconds", f"{seconds}")
    warm_seconds = _ADAPTING_SECONDS if setting.adaptive else _WARM_SECONDS
    rung = () if setting.adaptive else ("--size", f"{case.side_px}")
    module = (sys.executable, "-P", "-m", "benchmarks.live_client")
    command = (*module, *arguments, *rung, "--warm-seconds", f"{warm_seconds}")
    clients = [await asyncio.create_subprocess_exec(*command, stdout=PIPE) for _ in range(setting.streams)]
    try:
        await asyncio.gather(*(_said(client, "measuring") for client in clients))
        pids = [*stack.pids.values(), *(client.pid for client in clients)]
        began_s, began_cpu_s = time.monotonic(), sum(map(cpu_seconds, pids))
        await asyncio.gather(*(_said(client, "measured") for client in clients))
        busy = (sum(map(cpu_seconds, pids)) - began_cpu_s) / (time.monotonic() - began_s)
        return [Measured(**await _line(client)) for client in clients], busy
    finally:
        for client in clients:
            if client.returncode is None:
                client.kill()
            await client.wait()


async def _said(client: Process, word: str) -> None:
    said = (await _line(client)).get("said")
    if said != word:
        raise CommandError(f"a client said {said!r}, expected {word!r}")


async def _line(client: Process) -> dict[str, Any]:
    assert client.stdout is not None
    line = await client.stdout.readline()
    if not line:
        raise CommandError(f"a client ended without its measurement, with status {await client.wait()}")
    facts: dict[str, Any] = json.loads(line)
    return facts


if __name__ == "__main__":
    typer.run(main)
