"""What a live session says that cannot step down."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from client.connection.types import PoseChoice
from client.media.source import Source
from client.transfer.held_rate import HeldRate, costly_options
from client.transfer.job import TransferJob
from motion.frame import FrameSize
from motion.pose_choice import PoseBackend, PoseDetail

SIZES = [FrameSize(side_px, side_px) for side_px in (512, 384, 256)]


def notes(watched: HeldRate, sequences: Iterable[int], *, stream: int = 0) -> list[str]:
    """What it says about answers to these frames of a camera with 25 frames per second."""
    seen = (watched.see(number, number / 25, dropped=False, stream=stream) for number in sequences)
    return [note for note in seen if note is not None]


def test_a_session_that_drops_frames_says_so_once_after_some_seconds() -> None:
    """The line says how many frames are shown, and what helps."""
    advice = "use a camera with fewer frames per second, or a faster machine"
    assert notes(HeldRate([]), range(0, 700, 3)) == [
        f"frame 126: the camera's rate cannot be held: 42 of 126 frames are shown; {advice}"
    ]


def test_frames_that_the_server_drops_are_not_shown() -> None:
    """They are answered, but without a picture."""
    watched = HeldRate(["--size"])
    seen = [watched.see(number, number / 25, dropped=number % 2 == 1) for number in range(200)]
    told = [note for note in seen if note is not None]
    assert told == [
        "frame 125: the camera's rate cannot be held: 62 of 125 frames are shown; leave out --size, so that a frame "
        "may take less work"
    ]


def test_few_lost_frames_are_no_reason() -> None:
    """One frame in twenty may be lost."""
    assert notes(HeldRate([]), (number for number in range(1000) if number % 20)) == []


def test_frames_that_were_lost_with_a_connection_do_not_count() -> None:
    """The machine is not slow because the server was away."""
    watched = HeldRate([])
    assert notes(watched, range(100)) == []
    assert notes(watched, range(600, 900), stream=1) == []


def job(**options: object) -> TransferJob:
    return TransferJob(source=Source("0"), actor="juggler", live=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "costly"),
    [
        (job(detail=PoseDetail.HOLISTIC, size_px=512), ["--detail", "--size"]),
        (job(detail=PoseDetail.LIVE, size_px=256), ["--detail"]),
        (job(detail=PoseDetail.BODY, size_px=384), ["--size"]),
        (job(detail=PoseDetail.BODY, size_px=256), []),
        (job(detail=PoseDetail.LIVE, size_px=512, estimator=lambda detail: None), ["--size"]),
        (job(detail=PoseDetail.HOLISTIC, size_px=256, estimator=lambda detail: None), ["--detail"]),
        (job(detail=PoseDetail.HOLISTIC, size_px=512, pose=PoseChoice(PoseBackend.RTMPOSE)), ["--size"]),
        (job(), []),
    ],
)
def test_only_options_that_cost_something_are_named(given: TransferJob, costly: list[str]) -> None:
    """Leaving out the smallest size or the least detail would help nothing."""
    assert costly_options(given, SIZES) == costly
