"""How much later is the actor in the page than in `dance transfer --live`, and what does a frame cost the gateway?

Both watch the same clip at 25 Hz, dance with the same actor on the same services, adapt as they always do, and are
measured in turn, some rounds in one run. The page's camera is Chromium's fake one. Its clock starts when the browser
presents a frame of the camera, and stops when the actor's picture has been drawn; the command's starts when its camera
has the frame, and stops when the picture is handed to the screen. Poses are found by the services ("pictures") or where
the dancer is ("poses"). The gateway's cost is its process's CPU time, divided by the frames that it answered.
`python -m benchmarks.page --help`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from playwright.async_api import Browser, Page, async_playwright

from benchmarks import table
from benchmarks.cases import SAMPLES
from benchmarks.processes import cpu_seconds
from client.local_stack.stack import LocalStack, local_stack
from tests.browser.cameras import sample_frames, write_camera
from tests.browser.visits import Browsers

_ADAPTING_SECONDS: Final = 15.0
_SENDS: Final = {"pictures": ("server", "server"), "poses": ("here", "browser")}
"""What is sent, and what that is called by the command and by the page."""
_CAMERA_FRAMES: Final = 150


def main(
    seconds: Annotated[float, typer.Option(min=1, help="How long to measure each.")] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is measured.")] = 3,
    sends: Annotated[str, typer.Option(help="pictures, poses or both.")] = "both",
) -> None:
    """Measure the page beside `dance transfer --live`, with the sample actor."""
    chosen = {name: how for name, how in _SENDS.items() if sends in ("both", name)}
    if not chosen:
        raise typer.BadParameter(f"--sends is pictures, poses or both, not {sends}")
    asyncio.run(_measure(seconds, rounds, chosen))


async def _measure(seconds: float, rounds: int, sends: dict[str, tuple[str, str]]) -> None:
    print(f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} before the start; {rounds} rounds of {seconds:g} s\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        camera = write_camera(folder / "camera.y4m", sample_frames(0, _CAMERA_FRAMES))
        stack = local_stack(
            SAMPLES / "actors",
            folder / "logs",
            load_at_start="sample",
            settings={"WEB_DATA_FOLDER": str(folder / "data")},
            page_port=0,
        )
        async with stack, _chromium(camera) as browser:
            for sent, (pose, way) in sends.items():
                found: dict[str, list[dict[str, float]]] = defaultdict(list)
                for _ in range(rounds):
                    found["dance transfer --live"].append(await _command(stack, pose, seconds))
                    found["the page"].append(await _page(stack, browser, way, seconds))
                _report(sent, found)


def _report(sent: str, found: dict[str, list[dict[str, float]]]) -> None:
    columns = ("", "camera to actor, median of rounds", "each round", "shown a second", "gateway's CPU a frame")
    print(f"{sent} are sent\n\n{table.header(*columns)}")
    late = {name: float(np.median([each["late_ms"] for each in rows])) for name, rows in found.items()}
    for name, rows in found.items():
        each = ", ".join(f"{row['late_ms']:.0f}" for row in rows)
        costs = [row["gateway_ms"] for row in rows if "gateway_ms" in row]
        cost = f"{np.median(costs):.2f} ms" if costs else "-"
        rate = f"{np.median([row['rate_hz'] for row in rows]):.1f}"
        print(table.row(name, f"{late[name]:.0f} ms", f"{each} ms", rate, cost))
    print(f"\nThe page is {late['the page'] - late['dance transfer --live']:.0f} ms later.\n", flush=True)


async def _command(stack: LocalStack, pose: str, seconds: float) -> dict[str, float]:
    """Run `benchmarks.live_client` once, adaptive."""
    clip = str(SAMPLES / "source_clip.mp4")
    arguments = (stack.address, "sample", clip, "--pose", pose, "--seconds", f"{seconds}")
    module = (sys.executable, "-P", "-m", "benchmarks.live_client")
    client = await asyncio.create_subprocess_exec(
        *module, *arguments, "--warm-seconds", f"{_ADAPTING_SECONDS}", stdout=PIPE
    )
    said, _ = await client.communicate()
    measured: dict[str, Any] = json.loads(said.splitlines()[-1])
    return {
        "late_ms": float(np.median(measured["late_ms"])),
        "rate_hz": len(measured["late_ms"]) / measured["seconds"],
    }


async def _page(stack: LocalStack, browser: Browser, way: str, seconds: float) -> dict[str, float]:
    """Dance once in a new visit of the page."""
    context = await browser.new_context()
    try:
        page = await context.new_page()
        await page.goto(f"http://127.0.0.1:{stack.page_port}/")
        await page.locator("body[data-ready=true]").wait_for()
        await page.locator(".options summary").click()
        await page.select_option("#way", way)
        await page.click("#start-camera")
        await page.locator("#actor-words").wait_for(state="hidden", timeout=120_000)
        await asyncio.sleep(_ADAPTING_SECONDS)
        before_s, answered = cpu_seconds(stack.pids["web"]), await _answered(page)
        await asyncio.sleep(seconds)
        spent_s, frames = cpu_seconds(stack.pids["web"]) - before_s, await _answered(page) - answered
        facts = await page.evaluate("dance.facts()")
        await page.click("#stop")
        return {
            "late_ms": facts["latency_ms"],
            "rate_hz": facts["rate_hz"],
            "gateway_ms": 1000 * spent_s / max(1, frames),
        }
    finally:
        await context.close()


async def _answered(page: Page) -> int:
    return int(await page.evaluate("dance.facts().answers"))


@asynccontextmanager
async def _chromium(camera: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browsers = Browsers(playwright)
        try:
            yield await browsers.with_camera(camera)
        finally:
            await browsers.close()


if __name__ == "__main__":
    typer.run(main)
