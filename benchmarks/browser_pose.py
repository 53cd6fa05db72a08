"""How fast and how exact is the page's pose finder, beside the pose service's engine?

A headless Chromium finds the poses of a clip, while the engine sees the same frames. Without a GPU, Chromium's WebGL
is software. Prints a report in Markdown. `python -m benchmarks.browser_pose --help`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Annotated, Final

import av
import numpy as np
import psutil
import typer
from playwright.async_api import async_playwright

from benchmarks import table
from benchmarks.cases import SAMPLES
from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose
from services.pose.mediapipe.estimator import PoseEstimator
from tests.browser.finder_page import FinderPage, finder_server
from tests.browser.visits import Browsers

_NOT_COUNTED: Final = 3
"""The first frames: the finder has started, but the person must be found."""
_PATIENCE_MS: Final = 300_000
_PARTS: Final = {
    "body": skeleton.BODY,
    "face": skeleton.FACE,
    "left hand": skeleton.LEFT_HAND,
    "right hand": skeleton.RIGHT_HAND,
}


@dataclass
class Found:
    """What one processor found.

    worker_ms: of the worker alone. all_ms: from the picture to the joints. page_cpu_ms, drawing_cpu_ms: CPU time of a
    picture in Chromium's process of the page, and in the one that draws for it.
    """

    load_ms: float
    page_cpu_ms: float = 0.0
    drawing_cpu_ms: float = 0.0
    worker_ms: list[float] = field(default_factory=list)
    all_ms: list[float] = field(default_factory=list)
    poses: list[Pose | None] = field(default_factory=list)


def main(
    clip: Annotated[Path, typer.Argument(help="A video.", exists=True)] = SAMPLES / "source_clip.mp4",
    frames: Annotated[int, typer.Option(min=10, help="Frames of it, on the CPU.")] = 150,
    gpu_frames: Annotated[int, typer.Option(min=0, help="Frames of it, on the GPU; 0 for none.")] = 20,
) -> None:
    """Compare the page's pose finder with the pose service's engine."""
    with av.open(str(clip)) as container:
        rate_hz = float(container.streams.video[0].average_rate or 25)
        decoded = islice(container.decode(video=0), frames)
        pictures = [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in decoded]
    height_px, width_px = pictures[0].shape[:2]
    print(f"{clip.name}, {len(pictures)} frames of {width_px}x{height_px}\n")
    expected, engine_ms, engine_cpu_ms = _engine(pictures, rate_hz)
    torso_px = float(np.median([_torso_px(pose) for pose in expected if pose is not None]))
    renderer, results = asyncio.run(_browser(pictures, rate_hz, {"cpu": frames, "gpu": gpu_frames}))
    print(f"WebGL: {renderer}\n")
    columns = ("started after", "a picture: median, p95", "with the copy", "CPU: finder", "CPU: WebGL")
    print(table.header("finder", *columns))
    engine_spread = _spread(engine_ms[_NOT_COUNTED:])
    print(table.row("the engine of the pose service", "", engine_spread, "", f"{engine_cpu_ms:.0f} ms", ""))
    for name, found in results.items():
        times = (found.worker_ms[_NOT_COUNTED:], found.all_ms[_NOT_COUNTED:])
        cells = (f"{found.load_ms / 1000:.1f} s", *map(_spread, times))
        cpu = (f"{found.page_cpu_ms:.0f} ms", f"{found.drawing_cpu_ms:.0f} ms")
        print(table.row(f"the page, {name}", *cells, *cpu))
    print(f"\nDistances from the engine's joints; the torso has {torso_px:.0f} px.\n")
    print(
        table.header(
            "finder", "frames", "both find, only the page, only the engine", *(f"{part}: mean, p95" for part in _PARTS)
        )
    )
    for name, found in results.items():
        print(table.row(f"the page, {name}", str(len(found.poses)), *_agreement(found.poses, expected)))


def _engine(pictures: Sequence[Picture], rate_hz: float) -> tuple[list[Pose | None], list[float], float]:
    """Return the poses, their milliseconds, and the mean CPU time."""
    poses: list[Pose | None] = []
    times_ms: list[float] = []
    with closing(PoseEstimator()) as estimator:
        for index, picture in enumerate(pictures):
            if index == _NOT_COUNTED:
                cpu_began = process_time()
            began = perf_counter()
            poses.append(estimator.estimate(picture, index / rate_hz).dancer)
            times_ms.append(1000 * (perf_counter() - began))
        cpu_ms = 1000 * (process_time() - cpu_began) / (len(pictures) - _NOT_COUNTED)
    return poses, times_ms, cpu_ms


async def _browser(
    pictures: Sequence[Picture], rate_hz: float, frames_of: dict[str, int]
) -> tuple[str, dict[str, Found]]:
    """Return WebGL's renderer, and what each processor finds in its first frames."""
    shown: dict[str, bytes] = {}
    results, renderer = {}, ""
    async with finder_server(shown) as address, async_playwright() as playwright:
        browsers = Browsers(playwright)
        browser = await browsers.with_camera(None)
        for processor, frames in frames_of.items():
            if frames <= _NOT_COUNTED:
                continue
            page = await browser.new_page()
            await page.goto(f"{address}/blank")
            finder = FinderPage(page, shown)
            began = perf_counter()
            within = {"start_ms": _PATIENCE_MS, "answer_ms": _PATIENCE_MS}
            started = await finder.start(processor=processor, within=within)
            renderer = started["choice"]["renderer"]
            found = results[processor] = Found(1000 * (perf_counter() - began))
            for index, picture in enumerate(pictures[:frames]):
                if index == _NOT_COUNTED:
                    before_ms = _cpu_ms("renderer"), _cpu_ms("gpu-process")
                pose, answer = await finder.find(picture, 1000 * index / rate_hz)
                found.poses.append(pose)
                found.worker_ms.append(answer["ms"])
                found.all_ms.append(answer["all_ms"])
            after_ms = _cpu_ms("renderer"), _cpu_ms("gpu-process")
            found.page_cpu_ms, found.drawing_cpu_ms = (
                (after - before) / (frames - _NOT_COUNTED) for before, after in zip(before_ms, after_ms, strict=True)
            )
            await page.close()
        await browsers.close()
    return renderer, results


def _cpu_ms(kind: str) -> float:
    """Return the CPU time so far of this program's Chromium processes of a kind."""
    total_seconds = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            if f"--type={kind}" in " ".join(process.cmdline()):
                times = process.cpu_times()
                total_seconds += times.user + times.system
    return 1000 * total_seconds


def _agreement(poses: Sequence[Pose | None], expected: Sequence[Pose | None]) -> list[str]:
    pairs = list(zip(poses, expected, strict=False))
    both = [(one, other) for one, other in pairs if one is not None and other is not None]
    only_page = sum(one is not None and other is None for one, other in pairs)
    only_engine = sum(one is None and other is not None for one, other in pairs)
    cells = [f"{len(both)}, {only_page}, {only_engine}"]
    for part in _PARTS.values():
        distances = []
        for one, other in both:
            common = one.seen[part] & other.seen[part]
            distances.extend(np.linalg.norm(one.joints_px[part] - other.joints_px[part], axis=1)[common])
        cells.append(f"{np.mean(distances):.2f}, {np.percentile(distances, 95):.2f} px" if distances else "none")
    return cells


def _torso_px(pose: Pose) -> float:
    return float(np.linalg.norm(pose.joints_px[skeleton.NECK] - pose.joints_px[skeleton.MID_HIP]))


def _spread(times_ms: Sequence[float]) -> str:
    return f"{np.median(times_ms):.0f}, {np.percentile(times_ms, 95):.0f} ms" if times_ms else "none"


if __name__ == "__main__":
    typer.run(main)
