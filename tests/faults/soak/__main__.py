"""A soak test: real processes, clients that come and go in every possible way, and a check of what remains.

The exit code is 0 if no process grew by more than 1 % after the warm-up, every session ended according to the contract,
and all gauges are back at zero; else 1. `python -m tests.faults.soak --help`.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from dance.v1 import frame_pb2, transfer_pb2

from motion.frame import PictureEncoding
from serving.actors.store import ActorStore
from serving.pictures.codec import encode_picture
from tests.faults.deployment import Deployment
from tests.faults.soak import verdict
from tests.faults.soak.clients import KINDS, LARGE, SETTINGS, SMALL, Crowd, Tally
from tests.faults.soak.plot import draw
from tests.faults.soak.watch import ProcessGone, Watch
from tests.tiny_actors import publish_tiny
from video.reader import VideoReader

ROOT = Path(__file__).resolve().parents[3]
_SAMPLES = 720
_REST_EVERY_SECONDS = 40.0
_ALL_KINDS_SECONDS = 600.0
"""In a soak of this length every kind of client occurs, whatever the seed."""


def main(
    minutes: Annotated[float, typer.Option(min=0.5, help="How long clients come and go.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Draws the sessions.")] = 1,
    plot: Annotated[Path, typer.Option(help="PNG of memory and sessions over time.")] = Path("out/soak.png"),
    samples: Annotated[Path, typer.Option(help="CSV of all that was seen.")] = Path("out/soak.csv"),
) -> None:
    """Run for twenty minutes by default, plus at most two minutes to start and stop."""
    for path in (plot, samples):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        good = asyncio.run(_soak(60 * minutes, seed, plot, samples))
    except (asyncio.CancelledError, KeyboardInterrupt):
        print(f"interrupted; what was seen is in {samples}")
        raise typer.Exit(130) from None
    raise typer.Exit(0 if good else 1)


async def _soak(seconds: float, seed: int, plot: Path, samples: Path) -> bool:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    faults: list[str] = []
    left: dict[str, float] | None = None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = ActorStore(folder / "actors")
        for actor, side_px in ((SMALL, 32), (LARGE, 256)):
            (folder / actor).mkdir()
            publish_tiny(store, folder / actor, actor, face=actor == SMALL, side_px=side_px)
        async with Deployment(folder, folder / "actors", **SETTINGS) as deployment:
            crowd = Crowd(deployment.address, _clip(), seed)
            await crowd.greet()
            watch = Watch(deployment, samples, max(1.0, seconds / _SAMPLES))
            try:
                async with asyncio.TaskGroup() as group:
                    watching = group.create_task(watch.run())
                    telling = group.create_task(_tell(crowd.tally, watch, seconds))
                    end_s = time.monotonic() + seconds
                    while (left_seconds := end_s - time.monotonic()) > 0:
                        await crowd.run(min(_REST_EVERY_SECONDS, left_seconds))
                        left = await watch.rest()
                        faults += verdict.still_up(left)
                    end_seconds = time.monotonic() - end_s + seconds
                    faults += [f"{name} was left behind" for name in await asyncio.to_thread(watch.left_behind)]
                    for task in (watching, telling):
                        task.cancel()
            except* ProcessGone as group_gone:
                faults.append(f"{group_gone.exceptions[0]}; what was seen is in {samples}")
    if left is None:
        print(f"FAILED: {faults[-1]}")
        return False
    faults += verdict.grown(watch.at_rest, end_seconds) + _of_sessions(crowd.tally, seconds)
    draw(watch.series, watch.at_rest, end_seconds, plot)
    print(f"\n{_sessions(crowd.tally)} in {end_seconds / 60:.0f} minutes, seed {seed}\n")
    print(verdict.table(watch.at_rest, end_seconds))
    print(f"\ngauges after the last session: {len(left)}, not at zero: {len(verdict.still_up(left))}")
    for fault in faults:
        print(f"FAILED: {fault}")
    print(f"{'FAILED' if faults else 'good'}; {plot}, {samples}")
    return not faults


async def _tell(tally: Tally, watch: Watch, seconds: float) -> None:
    """Print one line a minute."""
    began_s = time.monotonic()
    while True:
        await asyncio.sleep(60)
        now = ", ".join(
            f"{name} {watch.series.values[name, 'uss_mib'][-1][1]:.1f}" for name in watch.series.processes()
        )
        past = (time.monotonic() - began_s) / 60
        print(f"{past:.0f} of {seconds / 60:.0f} minutes, {tally.sessions} sessions; MiB: {now}", flush=True)


def _clip() -> list[transfer_pb2.TransferFrame]:
    """The sample clip as JPEGs."""
    frames = []
    with VideoReader(str(ROOT / "samples" / "source_clip.mp4")) as reader:
        for frame in reader.frames():
            encoded = encode_picture(frame.pixels, PictureEncoding.JPEG, 90)
            picture = frame_pb2.Picture(
                encoding=frame_pb2.PICTURE_ENCODING_JPEG,
                width_px=encoded.width_px,
                height_px=encoded.height_px,
                data=encoded.data,
            )
            frames.append(transfer_pb2.TransferFrame(sequence=frame.index, picture=picture))
    return frames


def _of_sessions(tally: Tally, seconds: float) -> list[str]:
    missing = [kind for kind in KINDS if not tally.ended[kind]] if seconds >= _ALL_KINDS_SECONDS else []
    return tally.unexpected + [f"no session of the kind {kind} came to its end" for kind in missing]


def _sessions(tally: Tally) -> str:
    kinds = ", ".join(f"{kind} {tally.ended[kind]}" for kind in KINDS)
    told = f"{tally.sessions} sessions with {tally.frames:,} answered frames"
    return f"{told} ({kinds}; refused {tally.full}; unexpected {len(tally.unexpected)})"


if __name__ == "__main__":
    typer.run(main)
