"""The previous picture of the generator."""

from __future__ import annotations

import numpy as np

from orchestrator.stages.previous_picture import Recurrence

DRAWN = np.full((4, 6, 3), 7, np.uint8)


def test_first_picture_is_zero() -> None:
    """Before the first picture the previous one is level 128 everywhere; that is not a restart."""
    previous, restarted = Recurrence(6, 4).previous(0.0)
    assert previous.shape == (4, 6, 3)
    assert set(previous.ravel().tolist()) == {128}
    assert not restarted


def test_age_is_counted_from_the_last_drawn_frame() -> None:
    """Exactly half a second keeps the picture, and more discards it; the restart is reported once."""
    recurrence = Recurrence(6, 4)
    recurrence.drawn(DRAWN, 1.0)
    assert recurrence.previous(1.5) == (DRAWN, False)
    previous, restarted = recurrence.previous(1.52)
    assert restarted
    assert previous[0, 0, 0] == 128
    assert not recurrence.previous(1.56)[1]
    recurrence.drawn(DRAWN, 1.56)
    assert recurrence.previous(1.6) == (DRAWN, False)
