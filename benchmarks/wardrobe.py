"""What does the wardrobe cost: making it, keeping it, and drawing a reference beside a label map?

Makes the wardrobe of prepared footage, writes and reads its file, and draws the reference and the label map of every
pose in turns, so that other load on the machine affects both alike. Each reference follows the choice of the one
before, as in a session. Times are CPU times of the one thread that works.

`python -m benchmarks.wardrobe FOLDER`, where FOLDER contains the arrays of one crop, such as
`work/footage/.../512x512-from-...`, which `dance train` leaves in its `--work` folder.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from benchmarks import table
from motion.crop import Crop
from motion.labelmap import draw_label_map
from motion.pose import Pose
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.make import make_wardrobe
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.storage import WARDROBE_FILE, read_wardrobe, write_wardrobe
from training.data.prepared_footage import COMPLETE_FILE, PreparedFootage, load_prepared


def main(
    folder: Annotated[Path, typer.Argument(help="The arrays of one crop of prepared footage.", exists=True)],
    rounds: Annotated[int, typer.Option(min=1, help="How often every pose is drawn.")] = 3,
) -> None:
    """Measure making, keeping and drawing."""
    cv2.setNumThreads(1)
    crop = Crop.from_dict(json.loads((folder / COMPLETE_FILE).read_text())["stage"])
    prepared = load_prepared(folder.parent, crop)
    frames = [int(frame) for frame in np.flatnonzero(prepared.split().trained) if prepared.poses[frame] is not None]
    began_s = time.process_time()
    wardrobe = _made(prepared, frames)
    making_s = time.process_time() - began_s
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / WARDROBE_FILE
        write_wardrobe(path, wardrobe)
        stored_bytes = path.stat().st_size
        began_s = time.process_time()
        read_wardrobe(path)
        reading_s = time.process_time() - began_s
    reference_ms, label_ms = _drawn(wardrobe, [prepared.crop_pose(frame) for frame in frames], rounds)
    print(table.header("wardrobe", f"{crop.out_width_px}x{crop.out_height_px}"))
    print(table.row("made from, key frames", f"{len(frames)} frames, {wardrobe.key_frames}"))
    print(table.row("making, CPU seconds", f"{making_s:.2f}"))
    print(table.row("in memory; its file", f"{wardrobe.memory_bytes / 2**20:.1f} MiB; {stored_bytes / 2**20:.1f} MiB"))
    print(table.row("reading, CPU seconds", f"{reading_s:.2f}"))
    for name, taken_ms in (("reference", reference_ms), ("label map", label_ms)):
        p10, median, p95 = np.percentile(taken_ms, [10, 50, 95])
        print(table.row(f"{name}: p10, median, p95", f"{p10:.2f}, {median:.2f}, {p95:.2f} ms"))
    print(table.row("reference / label map, median", f"{np.median(reference_ms) / np.median(label_ms):.2f}"))


def _made(prepared: PreparedFootage, frames: list[int]) -> Wardrobe:
    return make_wardrobe(
        [prepared.targets[frame] for frame in frames],
        [prepared.masks[frame] for frame in frames],
        [prepared.crop_pose(frame) for frame in frames],
        frames,
        filmed=[prepared.pictures[frame] for frame in frames],
    )


def _drawn(wardrobe: Wardrobe, poses: list[Pose], rounds: int) -> tuple[list[float], list[float]]:
    """CPU milliseconds of every reference and of every label map."""
    reference_ms, label_ms = [], []
    choice: Choice | None = None
    for pose in poses * rounds:
        start_s = time.thread_time()
        choice = draw_reference(wardrobe, pose, choice).choice
        between_s = time.thread_time()
        draw_label_map(pose, wardrobe.width_px, wardrobe.height_px)
        end_s = time.thread_time()
        reference_ms.append((between_s - start_s) * 1e3)
        label_ms.append((end_s - between_s) * 1e3)
    return reference_ms, label_ms


if __name__ == "__main__":
    typer.run(main)
