"""Is the pipeline real-time? Plays a clip as a camera at its own rate through a LIVE session; measures rate and delay.

A frame's clock starts when the player offers it, as a camera would, and stops when its answer's JPEG is decoded and
ready to show. The source's body is estimated during the session. `python -m benchmarks.live --help`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks import table
from benchmarks.cases import CASES, SAMPLES, make_actor
from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.local_stack.stack import local_stack
from client.media.frame_feed import FeedOptions, LiveFeed
from motion.frame import NoPictureReason
from motion.pose_choice import PoseDetail
from serving.actors.store import ActorStore
from serving.pictures.codec import decode_picture
from video.reader import SourceFrame, VideoReader

WARM_UP_FRAMES = 25


@dataclass
class Shown:
    """What happened to a camera's frames. lateness_seconds: of shown frames, from camera to screen."""

    offered: int = 0
    skipped: int = 0
    dropped: int = 0
    without_picture: int = 0
    lateness_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0


class _Camera(LiveFeed):
    """Records when each frame was offered."""

    def __init__(self, reader: VideoReader, options: FeedOptions) -> None:
        self.offered_at_s: dict[int, float] = {}
        super().__init__(reader, options)

    def _offer(self, frame: SourceFrame) -> None:
        self.offered_at_s[frame.index] = time.monotonic()
        super()._offer(frame)


def main(
    source: Annotated[Path, typer.Argument(help="The clip to play.")] = SAMPLES / "source_clip.mp4",
    rounds: Annotated[int, typer.Option(min=1, help="How often to play it.")] = 3,
) -> None:
    """Measure frames a second and delay of a LIVE session at 256x256."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_measure(Path(folder), source, rounds))


async def _measure(root: Path, source: Path, rounds: int) -> None:
    actor = make_actor(CASES[0], ActorStore(root / "actors"))
    print(table.header("camera", "shown a second", "offered, shown, skipped, dropped", "camera to screen p50", "p95"))
    async with local_stack(root / "actors", root / "logs") as stack, DanceClient(stack.address) as client:
        for number in range(rounds + 1):
            shown = await _played(client, actor.id, source)
            if number == 0:
                continue  # the first round starts with cold caches
            late_ms = 1000 * np.array(shown.lateness_seconds)
            counts = f"{shown.offered}, {len(late_ms)}, {shown.skipped}, {shown.dropped}"
            rates = f"{shown.offered / shown.seconds:.1f} a second", f"{len(late_ms) / shown.seconds:.1f}"
            delays = [f"{np.percentile(late_ms, q):.0f} ms" for q in (50, 95)]
            print(table.row(*rates, counts, *delays), flush=True)


async def _played(client: DanceClient, actor: str, source: Path) -> Shown:
    shown = Shown()
    options = TransferOptions(actor=actor, live=True, detail=PoseDetail.LIVE)
    with VideoReader(str(source)) as reader:
        async with client.transfer(options) as session:
            camera = _Camera(reader, FeedOptions(max_side_px=session.accepted.max_frame_side_px))
            try:
                began_s = 0.0
                async for answer in session.answers(camera):
                    if answer.sequence < WARM_UP_FRAMES:
                        began_s = time.monotonic()
                        continue
                    if answer.picture is not None:
                        decode_picture(answer.picture)
                        late_seconds = time.monotonic() - camera.offered_at_s[answer.sequence]
                        shown.lateness_seconds.append(late_seconds)
                    elif answer.no_picture is NoPictureReason.DROPPED:
                        shown.dropped += 1
                    else:
                        shown.without_picture += 1
                shown.seconds = time.monotonic() - began_s
                shown.offered = sum(1 for index in camera.offered_at_s if index >= WARM_UP_FRAMES)
                shown.skipped = shown.offered - len(shown.lateness_seconds) - shown.dropped - shown.without_picture
            finally:
                camera.close()
    return shown


if __name__ == "__main__":
    typer.run(main)
