"""The picture that is passed along."""

from __future__ import annotations

import numpy as np

from orchestrator.recurrence import Recurrence

DRAWN = np.full((4, 6, 3), 7, np.uint8)


def test_first_picture_is_zero() -> None:
    """Before anything was drawn, the previous picture is level 128 everywhere; that is no restart."""
    previous, restarted = Recurrence(6, 4).previous(0.0)
    assert previous.shape == (4, 6, 3)
    assert set(previous.ravel().tolist()) == {128}
    assert not restarted


def test_absence_is_counted_from_its_first_frame() -> None:
    """Exactly half a second keeps the picture, more gives it up; each absence is counted by itself."""
    recurrence = Recurrence(6, 4)
    recurrence.drawn(DRAWN)
    recurrence.nobody(1.0)
    recurrence.nobody(1.4)
    assert recurrence.previous(1.5) == (DRAWN, False)
    recurrence.nobody(2.0)
    previous, restarted = recurrence.previous(2.52)
    assert restarted
    assert previous[0, 0, 0] == 128


def test_gap_without_an_absence_keeps_the_picture() -> None:
    """Dropped frames leave gaps of any length: nobody has left, so the dancer goes on from the last picture."""
    recurrence = Recurrence(6, 4)
    recurrence.drawn(DRAWN)
    assert recurrence.previous(100.0) == (DRAWN, False)
