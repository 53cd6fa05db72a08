"""The faces that the face network is trained on: as the finished body draws them, and as they should be."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from motion.face_region import FaceRule
from training.data.pairs import Pairs, person_margin
from training.data.prepare import PreparedFootage
from training.drawing import Draw, draw_run
from training.face import FaceCrop, face_crop
from training.stopping import checked

MOST_FACE_FRAMES: Final = 1500
_RUN_FRAMES: Final = 50
"""Of runs that are chosen among more: long enough for the picture to settle after its empty beginning."""


def cut_faces(
    prepared: PreparedFootage,
    pairs: Pairs,
    draw: Draw,
    rule: FaceRule,
    on_run: Callable[[int, int], None] = lambda done, total: None,
    check: Callable[[], None] = lambda: None,
) -> list[FaceCrop]:
    """Faces as `draw` draws them on its own pictures, against the targets of the body's training.

    At most 1500 frames are drawn, in runs of consecutive training frames spread over the whole footage. on_run: told
    after each run how many frames are drawn, and of how many. check: called ahead of each frame; it may raise.
    """
    runs = spread_runs(pairs.usable_frames, MOST_FACE_FRAMES, _RUN_FRAMES, prepared.starts)
    total = sum(map(len, runs))
    done = 0
    crops = []
    for run in runs:
        pictures = draw_run(draw, (prepared.labels[i] for i in checked(run, check)))
        for frame, drawn in zip(run, pictures, strict=True):
            person = person_margin(prepared.masks[frame])
            target = pairs.target(frame, person)
            crop = face_crop(prepared.labels[frame], drawn, target, person, prepared.stage_pose(frame), rule)
            if crop is not None:
                crops.append(crop)
        done += len(run)
        on_run(done, total)
    return crops


def spread_runs(frames: Sequence[int], most: int, run_frames: int, starts: Container[int] = ()) -> list[list[int]]:
    """Rising frame numbers in runs without a gap of at most `run_frames`; at most `most` frames, evenly spread.

    starts: frames that do not follow the frame before them. Raises ValueError where not even one run is allowed.
    """
    if not 1 <= run_frames <= most:
        raise ValueError(f"runs of {run_frames} frames do not fit into {most}")
    ends = [i + 1 for i, (one, other) in enumerate(pairwise(frames)) if other != one + 1 or other in starts]
    runs = []
    for start, end in pairwise([0, *ends, len(frames)]):
        runs += [list(frames[i : min(i + run_frames, end)]) for i in range(start, end, run_frames)]
    if sum(map(len, runs)) <= most:
        return runs
    # Chosen by where their frames are among all frames, so that many short runs weigh no more than few long ones.
    middles = np.cumsum([len(run) for run in runs]) - np.array([len(run) / 2 for run in runs])
    wanted = (np.arange(most // run_frames) + 0.5) / (most // run_frames) * len(frames)
    return [runs[i] for i in sorted({int(np.abs(middles - place).argmin()) for place in wanted})]
