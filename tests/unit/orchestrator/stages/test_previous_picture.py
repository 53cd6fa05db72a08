"""The previous picture of the generator."""

from __future__ import annotations

import numpy as np

from motion.frame import FrameSize
from orchestrator.stages.previous_picture import Recurrence

SIZE = FrameSize(6, 4)
DRAWN = np.full((4, 6, 3), 7, np.uint8)


def test_first_picture_is_zero() -> None:
    """Before the first picture the previous one is level 128 everywhere; that is not a restart."""
    previous, restarted = Recurrence().previous(0.0, SIZE)
    assert previous.shape == (4, 6, 3)
    assert set(previous.ravel().tolist()) == {128}
    assert not restarted


def test_age_is_counted_from_the_last_drawn_frame() -> None:
    """Exactly half a second keeps the picture, and more discards it; the restart is reported once."""
    recurrence = Recurrence()
    recurrence.drawn(DRAWN, 1.0)
    assert recurrence.previous(1.5, SIZE) == (DRAWN, False)
    previous, restarted = recurrence.previous(1.52, SIZE)
    assert restarted
    assert previous[0, 0, 0] == 128
    assert not recurrence.previous(1.56, SIZE)[1]
    recurrence.drawn(DRAWN, 1.56)
    assert recurrence.previous(1.6, SIZE) == (DRAWN, False)


def test_a_picture_of_another_size_is_resized() -> None:
    """A session that steps to smaller pictures, and back, goes on from its own last one: nothing restarts."""
    recurrence = Recurrence()
    recurrence.drawn(DRAWN, 1.0)
    for size in (FrameSize(3, 2), FrameSize(12, 8)):
        previous, restarted = recurrence.previous(1.04, size)
        assert previous.shape == (size.height_px, size.width_px, 3)
        assert set(previous.ravel().tolist()) == {7}
        assert not restarted
