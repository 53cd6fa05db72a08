"""The frames that do not follow the one before them, and why."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from motion.frame import FrameSize
from tests.unit.training.conftest import SIDE, standing
from training.preparation.frame_quality import CHANGE, MEASURES
from training.preparation.frame_table import FrameTable, frame_table

_TORSO_PX = 8
"""The torso's length in `standing`."""


def table_of(
    places_px: list[float], *, changed: tuple[int, ...] = (), file_starts: tuple[int, ...] = (0,)
) -> FrameTable:
    """A person who stands at these places, one per frame, at 25 frames per second."""
    frames = len(places_px)
    measures = np.zeros((frames, len(MEASURES)), np.float32)
    measures[list(changed), CHANGE] = 40
    seen: Any = SimpleNamespace(
        poses=[standing(x_px) for x_px in places_px],
        measures=measures,
        people=np.ones(frames, np.int16),
        file_starts=list(file_starts),
        frame_size=FrameSize(SIDE, SIDE),
    )
    return frame_table(seen, 25.0)


def test_a_person_who_jumps_within_an_unchanged_place_leaps() -> None:
    """More than half a torso between two frames is a leap; less is a step."""
    table = table_of([8, 8 + 0.6 * _TORSO_PX, 8 + 1.0 * _TORSO_PX])
    assert (sorted(table.starts), sorted(table.leaps), table.cuts) == ([0, 1], [1], 0)


def test_a_place_that_changes_is_cut_wherever_the_person_is() -> None:
    """A change of the place is a cut, whether or not the person moves."""
    table = table_of([8, 8, 20], changed=(1, 2))
    assert (sorted(table.starts), sorted(table.leaps), table.cuts) == ([0, 1, 2], [], 2)


def test_a_file_begins_without_a_leap_or_a_cut() -> None:
    """The first frame of a file is neither a leap nor a cut, however different it is from the one before."""
    table = table_of([8, 20], changed=(1,), file_starts=(0, 1))
    assert (sorted(table.starts), sorted(table.leaps), table.cuts) == ([0, 1], [], 0)
