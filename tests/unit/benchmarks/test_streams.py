"""`benchmarks.streams`: what the cameras send, and what is concluded from the steps."""

from __future__ import annotations

import math

import pytest

from benchmarks.live_streams import RATE_HZ, LiveStream, Load, Shown, newest_due, there_and_back
from benchmarks.streams import Step, conclusions
from motion.frame import EncodedPicture, Frame, PictureEncoding

PICTURE = EncodedPicture(PictureEncoding.JPEG, 8, 8, b"")


def step(streams: int, late_ms: float, shown: float, wait_ms: float = 5.0) -> Step:
    """A step of ten seconds. shown: the share of the offered frames."""
    offered = round(streams * 10 * RATE_HZ)
    load = Load(offered, [late_ms] * round(shown * offered), {"generator": 3.0, "pose": wait_ms})
    cpu_s = {"pose": 5.0 * streams, "orchestrator": 1.0 * streams}
    memory_mib = {"pose": 300.0 + 3 * streams, "orchestrator": 100.0}
    return Step(streams, 10.0, load, cpu_s, memory_mib, first_ms=80.0)


def test_a_camera_waits_for_its_next_frame():
    """Without a frame that was not sent, the camera has the next one at its time."""
    number, seconds = newest_due(elapsed_s=0.1, last=2)
    assert number == 3
    assert seconds == pytest.approx(0.02)


def test_a_camera_skips_what_it_could_not_send():
    """A session that had no room for 0.2 s gets the newest frame at once."""
    assert newest_due(elapsed_s=0.3, last=2) == (7, 0.0)


def test_the_dancer_never_jumps():
    """The frames come back the way they went, so that the last one is followed by the first."""
    frames = [Frame(number, PICTURE, number / 10) for number in range(4)]
    turned = there_and_back(frames)
    assert [frame.captured_at_s for frame in turned] == [0.0, 0.1, 0.2, 0.3, 0.2, 0.1]
    assert [frame.sequence for frame in turned] == list(range(6))


def test_a_load_counts_what_arrived_within_its_time():
    """Pictures before and after the measurement are left out, and each stage has its own median."""
    stream = LiveStream([])
    stream.shown = [
        Shown(9.9, 0.5, {"pose": 1.0}),
        Shown(10.0, 0.1, {"pose": 0.02, "generator": 0.01}),
        Shown(11.0, 0.2, {"pose": 0.04}),
        Shown(12.0, 0.5, {"pose": 1.0}),
    ]
    load = Load.of([stream], 10.0, 12.0)
    assert load.offered == 50
    assert load.late_ms == pytest.approx([100.0, 200.0])
    assert load.waits_ms == pytest.approx({"pose": 30.0, "generator": 10.0})


def test_nothing_shown_is_never_in_time():
    """A step without a picture does not hold."""
    assert Load(250, [], {}).late_percentile_ms(95) == math.inf


def test_the_conclusion_counts_the_streams_that_hold():
    """In time is one count, in time with nearly every frame is another; the stage that waits most is what breaks."""
    lines = conclusions([step(1, 60, 1.0), step(2, 90, 0.8), step(3, 400, 0.6, wait_ms=250.0)])
    assert lines[0] == "late by less than 150 ms (p95): 2 streams; with 95 % of all frames shown: 1 stream"
    assert "frames wait longest for pose: 250 ms beside its own work (median; 5 ms with 1 stream)" in lines[1]
    assert "1.80 of" in lines[1]
    assert lines[2] == "CPU of a shown frame, with 1 stream: pose 20.0 ms, orchestrator 4.0 ms"
    assert lines[3] == "memory of one more stream: pose 3.0 MiB, orchestrator 0.0 MiB"


def test_the_conclusion_does_not_guess():
    """What no step reached is said to be not reached."""
    lines = conclusions([step(1, 60, 1.0)])
    assert lines[0].endswith("What breaks was not reached: 1 stream was the most that ran")
    assert lines[-1] == "memory of one more stream: not reached, since a single stream ran"


def test_no_stream_is_said_in_words():
    """A machine that is too slow for one stream holds none."""
    lines = conclusions([step(1, 900, 0.2)])
    assert lines[0].startswith("late by less than 150 ms (p95): no stream;")
