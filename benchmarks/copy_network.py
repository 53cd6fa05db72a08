"""What does a frame of the quick presets cost beside one of slim-256, the small preset of release 0.1?

Draws the same frames in turns with each network (random weights, which take as long as trained ones) in OpenVINO, and
the reference that the network with a copy path needs. The last column is a frame of this network, reference included,
as a part of a frame of slim's.

`python -m benchmarks.copy_network WARDROBE`, where WARDROBE is the wardrobe.npz of an actor; its poses are drawn.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer

from benchmarks import table
from benchmarks.slim_preset import slim_256
from motion.frame import ZERO_LEVEL, Picture
from motion.labelmap import draw_label_map
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.storage import read_wardrobe
from serving.actors.store import NetworkShape
from serving.inference.engine import PictureEngine, open_engine
from training.loop.body_learner import new_generator
from training.presets import fine_512, quick_256
from training.publishing.export import export_generator

_QUICK = quick_256().generator
_SLIM, _REFERENCE = "slim-256's", "reference"
_SHAPES: dict[str, NetworkShape] = {_SLIM: slim_256().generator, "quick's": _QUICK, "fine-512's": fine_512().generator}


def main(
    wardrobe: Annotated[Path, typer.Argument(help="The wardrobe.npz of an actor.", exists=True)],
    threads: Annotated[int, typer.Option(min=1, help="Threads of OpenVINO.")] = 2,
    frames: Annotated[int, typer.Option(min=1, help="Frames of each.")] = 100,
) -> None:
    """Print the milliseconds of a frame for each network, and of a reference."""
    cv2.setNumThreads(1)
    cut = read_wardrobe(wardrobe)
    with tempfile.TemporaryDirectory() as folder:
        engines = {name: _engine(shape, cut, Path(folder), threads) for name, shape in _SHAPES.items()}
    taken_ms: dict[str, list[float]] = {name: [] for name in (*engines, _REFERENCE)}
    choice: Choice | None = None
    previous = np.full((cut.height_px, cut.width_px, 3), ZERO_LEVEL, np.uint8)
    for number in range(frames):
        pose = cut.poses[number % cut.key_frames]
        label = draw_label_map(pose, cut.width_px, cut.height_px)
        began = time.perf_counter()
        drawn = draw_reference(cut, pose, choice)
        taken_ms[_REFERENCE].append(1e3 * (time.perf_counter() - began))
        choice = drawn.choice
        for name, engine in engines.items():
            inputs = (label, previous, drawn.picture)[: _SHAPES[name].inputs]
            taken_ms[name].append(_milliseconds(partial(engine.run, *inputs)))
    medians = {name: statistics.median(values) for name, values in taken_ms.items()}
    print(f"{cut.width_px}x{cut.height_px}, OpenVINO {engines[_SLIM].precision}, {threads} threads\n")
    print(table.header("", "p10, median, p95 in ms", "with its reference, beside slim-256's"))
    for name, values in taken_ms.items():
        shown = ", ".join(f"{value:.2f}" for value in np.percentile(values, [10, 50, 95]))
        whole = medians[name] + (medians[_REFERENCE] if name in _SHAPES and _SHAPES[name].reference else 0)
        print(table.row(name, shown, f"{whole / medians[_SLIM]:.2f}" if name in _SHAPES else ""))


def _engine(shape: NetworkShape, cut: Wardrobe, folder: Path, threads: int) -> PictureEngine:
    torch.manual_seed(0)
    path = folder / f"{shape.base_channels}{shape.reference}.onnx"
    plate = np.zeros((cut.height_px, cut.width_px, 3), np.uint8)
    export_generator(new_generator(shape), plate, path, cut.width_px, cut.height_px)
    return open_engine(path, threads=threads, inputs=shape.inputs)


def _milliseconds(draw: Callable[[], Picture]) -> float:
    began = time.perf_counter()
    draw()
    return 1e3 * (time.perf_counter() - began)


if __name__ == "__main__":
    typer.run(main)
