"""The faces that the face network is trained on: as the finished body draws them, and as they should be."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, overload

import numpy as np

from motion.face_region import face_region
from training.data.pairs import Pairs, person_margin
from training.loop.face_learner import FaceCrop, face_crop
from training.networks.recurrent_drawing import Draw, draw_run
from training.preparation.prepare import PreparedFootage
from training.preparation.resumable_array import RowWriter
from training.presets import Preset
from training.process.disk import full_disk_told
from training.process.distributed import ALONE, Ranks
from training.process.stop_signals import checked

_RUN_FRAMES: Final = 50
"""Of runs that are chosen among more: long enough for the picture to settle after its empty beginning."""
_CHANNELS: Final = (3, 3, 3, 1)
"""Of a crop's pictures, side by side in a row of the file."""


class StoredCrops(Sequence[FaceCrop]):
    """The crops in a file, `[N, S, S, 10]` uint8; each is read when it is asked for. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._rows = np.load(path, mmap_mode="r")

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> FaceCrop: ...
    @overload
    def __getitem__(self, index: slice) -> list[FaceCrop]: ...
    def __getitem__(self, index: int | slice) -> FaceCrop | list[FaceCrop]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        parts = np.split(self._rows[index], np.cumsum(_CHANNELS)[:-1], axis=2)
        label, drawn, real, person = (np.array(part) for part in parts)
        return FaceCrop(label, drawn, real, person[..., 0])


def cut_faces(
    prepared: PreparedFootage,
    pairs: Pairs,
    draw: Draw,
    preset: Preset,
    path: Path,
    on_run: Callable[[int, int], None] = lambda done, total: None,
    *,
    check: Callable[[], None] = lambda: None,
    ranks: Ranks = ALONE,
) -> Sequence[FaceCrop]:
    """Faces as `draw` draws them on its own pictures, against the targets of the body's training.

    At most `preset.face_frames` frames are drawn, in runs of consecutive training frames spread over the whole footage.
    on_run: told after each run how many frames are drawn, and of how many. check: called ahead of each frame; it may
    raise. The crops lie in the file `path`: all of them would not fit into memory. Of several processes rank 0 draws
    and writes. Raises DiskFull.
    """
    crops = 0
    if ranks.is_first:
        with full_disk_told(path.parent):
            crops = _written(prepared, pairs, draw, preset, path, on_run, check)
    return StoredCrops(path) if ranks.told_by_first(crops) else ()


def _written(
    prepared: PreparedFootage,
    pairs: Pairs,
    draw: Draw,
    preset: Preset,
    path: Path,
    on_run: Callable[[int, int], None],
    check: Callable[[], None],
) -> int:
    """How many crops there are."""
    frames, rule = pairs.usable_frames, preset.face_rule
    most = max(len(frames), _RUN_FRAMES) if preset.face_frames is None else preset.face_frames
    runs = spread_runs(frames, most, _RUN_FRAMES, prepared.starts)
    total = sum(map(len, runs))
    height_px, width_px = prepared.masks.shape[1:]
    with_face = {
        frame
        for run in runs
        for frame in run
        if face_region(prepared.stage_pose(frame), rule, width_px, height_px) is not None
    }
    path.unlink(missing_ok=True)  # of another body, or cut off
    done = 0
    with RowWriter(path, len(with_face), (rule.crop_px, rule.crop_px, sum(_CHANNELS))) as writer:
        for run in runs:
            pictures = draw_run(draw, (prepared.labels[i] for i in checked(run, check)))
            for frame, drawn in zip(run, pictures, strict=True):
                person = person_margin(prepared.masks[frame])
                target = pairs.target(frame, person)
                crop = face_crop(prepared.labels[frame], drawn, target, person, prepared.stage_pose(frame), rule)
                if crop is not None:
                    row = (crop.label, crop.drawn, crop.real, crop.person[..., None])
                    writer.append(np.concatenate(row, axis=2))
            done += len(run)
            on_run(done, total)
    return len(with_face)


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
