"""Pictures of clips, and what was found in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from motion.frame import Picture
from services.pose.estimator import Estimate

real_clips = pytest.mark.real_clips


def pictures(clip: Path, first: int = 0, count: int | None = None) -> Iterator[Picture]:
    """Frames `first` to `first + count` of a clip, `[H, W, 3]` uint8 RGB."""
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if count is not None and index >= first + count:
                return
            if index >= first:
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def found_in(estimates: list[Estimate]) -> float:
    """Return the fraction of frames with a pose."""
    return float(np.mean([bool(estimate.people) for estimate in estimates]))
