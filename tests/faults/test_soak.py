"""The soak's verdict: growth is distinguished from noise and load, and every gauge that stays up is reported."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.faults.soak.verdict import Series, grown, growth, still_up, table

END_SECONDS = 1200.0


def seen(memory: Callable[[float], float], descriptors: Callable[[float], float] = lambda _: 20.0) -> Series:
    """A process sampled every 40 s; the functions get the seconds since the start."""
    series = Series()
    for step in range(1, 31):
        seconds = 40.0 * step
        for quantity, value in (
            ("own_mib", memory(seconds)),
            ("rss_mib", memory(seconds) + 60),
            ("threads", 12.0),
            ("descriptors", descriptors(seconds)),
            ("cpu_seconds", seconds / 10),
        ):
            series.add("pose", quantity, seconds, value)
    return series


def test_a_leak_is_growth() -> None:
    """Growth of two per cent from the second quarter to the last is found, under noise of the same size."""
    chance = random.Random(3)
    told = grown(seen(lambda seconds: 100 + seconds / 300 + chance.uniform(-1, 1)), END_SECONDS)
    assert len(told) == 2
    assert told[0].startswith("pose: own_mib grew by ")
    assert told[1].startswith("pose: rss_mib grew by ")


def test_warm_up_noise_and_outliers_are_not() -> None:
    """Growth in the first quarter only, oscillation, and one unusual sample at rest are not growth."""
    chance = random.Random(3)

    def memory(seconds: float) -> float:
        spike = 80 if seconds in (1000, 1160) else 0
        return min(100, 60 + seconds / 5) + chance.uniform(-1, 1) + spike

    assert grown(seen(memory), END_SECONDS) == []


def test_descriptors_that_are_never_closed_are_reported() -> None:
    """One in two hundred seconds is more than chance."""
    assert grown(seen(lambda _: 100.0, lambda seconds: 20 + seconds // 200), END_SECONDS) == [
        "pose: 3 more descriptors, 22 to 25"
    ]


def test_quarters_without_samples_are_no_verdict() -> None:
    """A soak that was cut short has no verdict."""
    with pytest.raises(ValueError, match="no samples in a quarter of 1200 s"):
        growth([(400.0, 1.0), (500.0, 1.0)], END_SECONDS)


def test_a_gauge_that_stays_up_is_reported() -> None:
    """A gauge is reported by name and value; a negative one is wrong as well."""
    gauges = {"orchestrator: dance_sessions": 0.0, "pose: dance_streams pose": 1.0, "face: dance_streams face": -1.0}
    assert still_up(gauges) == ["pose: dance_streams pose is 1, not 0", "face: dance_streams face is -1, not 0"]


def test_the_table_says_what_the_verdict_rests_on() -> None:
    """Both quarters, the growth between them, and the CPU time over the whole run."""
    row = table(seen(lambda seconds: 100.0 if seconds < 800 else 102.0), END_SECONDS).splitlines()[-1]
    assert row == (
        "| pose | 100.0, 102.0 MiB | +2.00% | 160.0, 162.0 MiB | +1.25% | 12, 12 | 20, 20 | 10.0% of a core |"
    )
