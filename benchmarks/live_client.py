"""One client of `benchmarks.live`: a camera whose frames are numbered, a live transfer, and a glass that reads them.

Prints one line of JSON at a time: {"said": "measuring"}, {"said": "measured"}, and at the end the measurement.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer

from benchmarks.frame_number import read_number, strip_height_px, with_number
from client.commands.options import PosePlace
from client.media.source import Source
from client.poses.dancer_estimator import DancerEstimator, opened_backends
from client.terminal.display import Display
from client.terminal.signals import Interrupts
from client.transfer.job import TransferJob
from client.transfer.run import transfer
from motion.frame import Picture
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from video.reader import SourceFrame, VideoReader

RATE_HZ: Final = 25.0
START_FRAMES: Final = 25
"""The frames of the first second that is shown, which are reported by themselves."""
_LONGEST_START_SECONDS: Final = 8.0
"""How long a session's hidden warm-up may take."""
AFTER_SECONDS: Final = 2.0
"""How long a client goes on after its measurement, so that another one's still has company."""

_STRIP_PX: Final = 8
"""Of a shown picture."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One stream. seconds: of the measurement. late_ms: of shown frames, from the camera's glass to the screen's.

    intervals_ms: between shown pictures. start_late_ms: of the frames shown in the first second. drawn_at: pictures of
    the whole session by rung.
    """

    seconds: float
    offered: int
    late_ms: list[float]
    intervals_ms: list[float]
    start_late_ms: list[float]
    drawn_at: dict[str, int]
    precision: str


class NumberedCamera(VideoReader):
    """A camera that repeats a clip at `RATE_HZ` for some seconds; its frames have their number at the top.

    had_at_s: when each frame was there to be taken, even if it was taken later or never.
    """

    def __init__(self, source: str, seconds: float) -> None:
        super().__init__(source)
        self.had_at_s: dict[int, float] = {}
        self._frames_in_all = round(seconds * RATE_HZ)

    @property
    def plays_by_itself(self) -> bool:
        """True, as of every camera."""
        return True

    @property
    def frame_rate_hz(self) -> float:
        """The camera's, not the clip's."""
        return RATE_HZ

    def frames(self) -> Iterator[SourceFrame]:
        """Every frame at its time. A frame that is taken late was there in time."""
        began_s = None
        for index, pixels in zip(range(self._frames_in_all), self._shown(), strict=False):
            numbered = with_number(pixels, index)
            if began_s is None:
                began_s = time.monotonic()
            due_s = began_s + index / RATE_HZ
            time.sleep(max(0.0, due_s - time.monotonic()))
            self.had_at_s[index] = due_s
            yield SourceFrame(index, round(index / RATE_HZ / self.time_base), index / RATE_HZ, numbered)

    def _shown(self) -> Iterator[Picture]:
        while True:
            with VideoReader(self.source) as clip:
                for frame in clip.frames():
                    yield frame.pixels


class CameraSource(Source):
    """A source that opens a camera of the caller's."""

    camera: NumberedCamera

    def open(self) -> NumberedCamera:
        """Return the camera."""
        return self.camera


class Glass:
    """The screen: notes when each number was seen for the first time.

    The measurement begins some frames after the first shown one, which follows a hidden warm-up, and lasts for some
    frames; both moments are said.
    """

    def __init__(self, frames_before: int, frames: int) -> None:
        self.shown_at_s: dict[int, float] = {}
        self.start = -1
        self._said: list[str] = []
        self._frames_before = frames_before
        self._frames = frames

    @property
    def first(self) -> int:
        """The first number of the measurement."""
        return self.start + self._frames_before

    @property
    def last(self) -> int:
        """The first number after the measurement."""
        return self.first + self._frames

    def show(self, picture: Picture) -> bool:
        """See `Screen.show`."""
        now_s = time.monotonic()
        number = read_number(picture[:_STRIP_PX])
        if number is None:
            raise ValueError("the number in a shown picture cannot be read")
        newest = max(self.shown_at_s, default=-1)
        if number <= newest:  # an answer without a picture repeats the last one
            return True
        self.start = number if newest < 0 else self.start
        self.shown_at_s[number] = now_s
        self._say_until(number)
        return True

    def close(self) -> None:
        """Say what was not said yet: a slow chain may show no picture after the measurement."""
        self._say_until(self.last)

    def _say_until(self, number: int) -> None:
        for limit, word in ((self.first, "measuring"), (self.last, "measured")):
            if limit <= number and word not in self._said:
                self._said.append(word)
                say(said=word)


def with_strip(source: Picture, actor: Picture) -> Picture:
    """Return the actor's picture below the strip of the frame that it answers, which holds the number."""
    strip = source[: strip_height_px(source.shape[0])]
    return np.concatenate([cv2.resize(strip, (actor.shape[1], _STRIP_PX)).astype(np.uint8), actor])


def say(**facts: object) -> None:
    """Print one line of JSON."""
    print(json.dumps(facts), flush=True)


def main(
    server: str,
    actor: str,
    source: Path,
    pose: PosePlace = PosePlace.SERVER,
    size: Annotated[int | None, typer.Option(help="The height of the pictures; default: the server adapts.")] = None,
    seconds: float = 20.0,
    warm_seconds: Annotated[float, typer.Option(help="Not measured, but reported by itself.")] = 4.0,
) -> None:
    """Run one client, and print its measurement."""
    asyncio.run(_measure(server, actor, source, pose, size, seconds, warm_seconds))


async def _measure(
    server: str, actor: str, path: Path, pose: PosePlace, size: int | None, seconds: float, warm_seconds: float
) -> None:
    glass = Glass(round(warm_seconds * RATE_HZ), round(seconds * RATE_HZ))
    estimator = None
    if pose is PosePlace.HERE:
        backends = opened_backends({})

        def start(detail: PoseDetail) -> DancerEstimator:
            return DancerEstimator(backends, PoseBackend.MEDIAPIPE, detail, DancerChoice())

        estimator = start
    camera = NumberedCamera(str(path), _LONGEST_START_SECONDS + warm_seconds + seconds + AFTER_SECONDS)
    with camera:
        source = CameraSource(str(path))
        object.__setattr__(source, "camera", camera)
        task = asyncio.current_task()
        assert task is not None
        job = TransferJob(
            source=source,
            actor=actor,
            live=True,
            size_px=size,
            detail=None if size is None else PoseDetail.LIVE,  # one rung, or all of them
            screens=(glass,),
            shown_with=with_strip,
            estimator=estimator,
        )
        report = await transfer(job, server, Display(), Interrupts(task))
    glass.close()
    offered = sum(glass.first <= number < glass.last for number in camera.had_at_s)
    shown = {number: at_s for number, at_s in glass.shown_at_s.items() if glass.first <= number < glass.last}

    def late_ms(numbers: dict[int, float]) -> list[float]:
        return [1000 * (at_s - camera.had_at_s[number]) for number, at_s in numbers.items()]

    start_shown = {number: at_s for number, at_s in glass.shown_at_s.items() if number < glass.start + START_FRAMES}
    measured = Measured(
        seconds=offered / RATE_HZ,
        offered=offered,
        late_ms=late_ms(shown),
        intervals_ms=(1000 * np.diff(list(shown.values()))).tolist(),
        start_late_ms=late_ms(start_shown),
        drawn_at=dict(report.drawn_at),
        precision=report.precision,
    )
    say(**asdict(measured))


if __name__ == "__main__":
    typer.run(main)
