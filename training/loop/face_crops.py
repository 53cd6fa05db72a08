"""The face crops that the face network is trained on: as the finished body draws them, and the real ones."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.face_region import FaceRule, cut_face, face_region
from motion.frame import Picture
from motion.pose import Pose
from serving.process.stop_signals import checked
from training.data.lazy import Lazy
from training.data.pairs import Pairs, person_margin
from training.data.prepared_footage import PreparedFootage
from training.data.references import References
from training.data.resumable_array import RowWriter
from training.networks.recurrent_drawing import Draw, draw_run
from training.presets import Preset

_RUN_FRAMES: Final = 50
"""The length of a chosen run: long enough for the picture to settle after its empty beginning."""
_CHANNELS: Final = (3, 3, 3, 1)
"""The channels of a crop's pictures, side by side in a row of the file."""


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """The face of one frame, `[S, S, 3]` uint8 RGB each: in the label map, in the drawn and in the real picture.

    person: `[S, S]` uint8, 255 on the person and a margin around.
    """

    label: Picture
    drawn: Picture
    real: Picture
    person: NDArray[np.uint8]


def face_crop(
    label: Picture, drawn: Picture, real: Picture, person: NDArray[np.uint8], pose: Pose, rule: FaceRule
) -> FaceCrop | None:
    """Cut the face out of pictures, `[H, W, 3]` uint8, and the person's mask, `[H, W]`; None without a face.

    pose: in pixels of the pictures.
    """
    height_px, width_px = label.shape[:2]
    region = face_region(pose, rule, width_px, height_px)
    if region is None:
        return None
    person_HW3 = np.repeat(person[..., None], 3, axis=2)
    label, drawn, real, person_SS3 = (cut_face(p, region, rule.crop_px) for p in (label, drawn, real, person_HW3))
    return FaceCrop(label, drawn, real, person_SS3[..., 0])


def stored_crops(path: Path) -> Lazy[FaceCrop]:
    """The crops in a file, `[N, S, S, 10]` uint8, each read when it is indexed. Raises OSError."""
    rows = np.load(path, mmap_mode="r")

    def read(index: int) -> FaceCrop:
        label, drawn, real, person = map(np.array, np.split(rows[index], np.cumsum(_CHANNELS)[:-1], axis=2))
        return FaceCrop(label, drawn, real, person[..., 0])

    return Lazy(len(rows), read)


def cut_faces(
    prepared: PreparedFootage,
    pairs: Pairs,
    draw: Draw,
    preset: Preset,
    path: Path,
    on_run: Callable[[int, int], None] = lambda done, total: None,
    *,
    check: Callable[[], None] = lambda: None,
    references: References | None = None,
) -> Sequence[FaceCrop]:
    """Cut faces as `draw` draws them on its own pictures, with the targets of the body's training.

    At most `preset.face_frames` frames are drawn, in runs of consecutive training frames spread over the whole footage.
    on_run: called after each run with the number of frames drawn and their total. check: called before each frame; it
    may raise. references: for networks with a reference. The crops are written to the file `path`, since all of them
    might not fit into memory. Raises OSError.
    """
    frames, rule = pairs.usable_frames, preset.face_rule
    most = max(len(frames), _RUN_FRAMES) if preset.face_frames is None else preset.face_frames
    runs = spread_runs(frames, most, _RUN_FRAMES, prepared.starts)
    total = sum(map(len, runs))
    height_px, width_px = prepared.masks.shape[1:]
    with_face = {
        frame
        for run in runs
        for frame in run
        if face_region(prepared.crop_pose(frame), rule, width_px, height_px) is not None
    }
    path.unlink(missing_ok=True)  # belongs to another body, or is incomplete
    done = 0
    with RowWriter(path, len(with_face), (rule.crop_px, rule.crop_px, sum(_CHANNELS))) as writer:
        for run in runs:
            seen = None if references is None else references.run((i, prepared.crop_pose(i)) for i in run)
            pictures = draw_run(draw, (prepared.labels[i] for i in checked(run, check)), seen)
            for frame, drawn in zip(run, pictures, strict=True):
                person = person_margin(prepared.masks[frame])
                target = pairs.target(frame, person)
                crop = face_crop(prepared.labels[frame], drawn, target, person, prepared.crop_pose(frame), rule)
                if crop is not None:
                    row = (crop.label, crop.drawn, crop.real, crop.person[..., None])
                    writer.append(np.concatenate(row, axis=2))
            done += len(run)
            on_run(done, total)
    return stored_crops(path) if with_face else ()


def spread_runs(frames: Sequence[int], most: int, run_frames: int, starts: Container[int] = ()) -> list[list[int]]:
    """Split rising frame numbers into runs of at most `run_frames`, and keep at most `most` frames, evenly spread.

    A run has no gap. starts: frames that do not follow the frame before them. Raises ValueError if `most` is shorter
    than a run.
    """
    if not 1 <= run_frames <= most:
        raise ValueError(f"runs of {run_frames} frames do not fit into {most}")
    ends = [i + 1 for i, (one, other) in enumerate(pairwise(frames)) if other != one + 1 or other in starts]
    runs = []
    for start, end in pairwise([0, *ends, len(frames)]):
        runs += [list(frames[i : min(i + run_frames, end)]) for i in range(start, end, run_frames)]
    if sum(map(len, runs)) <= most:
        return runs
    # Chosen by the position of their frames among all frames, so many short runs weigh no more than few long ones.
    middles = np.cumsum([len(run) for run in runs]) - np.array([len(run) / 2 for run in runs])
    wanted = (np.arange(most // run_frames) + 0.5) / (most // run_frames) * len(frames)
    return [runs[i] for i in sorted({int(np.abs(middles - place).argmin()) for place in wanted})]
