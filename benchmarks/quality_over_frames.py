"""How good is an actor after so many frames of training, and what did they cost?

Trains the body of a preset with a reference on prepared footage, and scores what it draws on the held-out frames at
each mark, as the quality gate does. Mark 0 is the bare warp, which `dance train` publishes first. The minutes
and the CPU seconds, over all threads, are those of the steps, without preparation and scores.

`python -m benchmarks.quality_over_frames FOLDER`, where FOLDER contains the arrays of one crop, such as
`work/footage/.../256x256-from-...`, which `dance train` leaves in its `--work` folder.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks import table
from motion.crop import Crop
from services.generator.network import CopyGenerator, Generator
from serving.process.atomic_files import write_picture
from training.data.prepared_footage import COMPLETE_FILE, load_prepared
from training.evaluation.held_out_frames import HeldOut
from training.loop.body_learner import BodyLearner, new_generator
from training.loop.learner import Computing
from training.preset_setup import computable, drawing_for, pairs_for, references_for, settle
from training.presets import preset_named

_COLUMNS = (
    "frames",
    "minutes",
    "CPU seconds",
    "body SSIM",
    "body PSNR",
    "face SSIM",
    "sharpness",
    "flicker / real",
    "pose distance",
)


def main(
    folder: Annotated[Path, typer.Argument(help="The arrays of one crop of prepared footage.", exists=True)],
    preset: Annotated[str, typer.Option(help="A preset with a reference, of the crop's size.")] = "quick-256",
    at: Annotated[str, typer.Option(help="Numbers of frames, rising.")] = "0,100,300,700",
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 0,
    previews: Annotated[Path | None, typer.Option(help="Folder for a picture of held-out frames at each mark.")] = None,
) -> None:
    """Print a row of scores for each mark."""
    settle("cpu")
    recipe = computable(preset_named(preset), "cpu")
    crop = Crop.from_dict(json.loads((folder / COMPLETE_FILE).read_text())["stage"])
    prepared = load_prepared(folder.parent, crop)
    split = prepared.split()
    references = references_for(recipe, prepared, split)
    if references is None or (crop.out_width_px, crop.out_height_px) != (recipe.width_px, recipe.height_px):
        raise typer.BadParameter(f"expected a preset with a reference at {crop.out_width_px}x{crop.out_height_px}")
    learner = BodyLearner(recipe, pairs_for(recipe, prepared, split, seed, references), Computing(seed=seed))
    held_out = HeldOut(prepared, split, recipe, references=references)
    marks = [int(mark) for mark in at.split(",")]
    seconds = cpu_seconds = 0.0

    def score(frames: int, network: Generator) -> None:
        draw = drawing_for(recipe, prepared, network, "cpu")
        runs = held_out.drawn(draw)
        scores, pose, flicker = held_out.scores(runs), held_out.pose_scores(runs), held_out.flicker(runs)
        values = (
            scores.body_ssim,
            scores.body_psnr_db,
            scores.face_ssim,
            scores.sharpness,
            flicker.ratio,
            pose.distance,
        )
        shown = ["n/a" if value is None else f"{value:.3f}" for value in values]
        print(table.row(str(frames), f"{seconds / 60:.1f}", f"{cpu_seconds:.1f}", *shown), flush=True)
        if previews is not None:
            previews.mkdir(parents=True, exist_ok=True)
            write_picture(previews / f"{frames}.png", held_out.preview(f"{frames} frames", runs))

    print(f"{recipe.name} in {recipe.precision}, {torch.get_num_threads()} threads, seed {seed}\n")
    print(table.header(*_COLUMNS))
    for mark in marks:
        while learner.pictures_seen < mark:
            began, cpu_began = time.monotonic(), time.process_time()
            learner.step(min(1.0, learner.pictures_seen / marks[-1]))
            seconds += time.monotonic() - began
            cpu_seconds += time.process_time() - cpu_began
        network: Generator = learner.averaged
        if mark == 0:
            network = new_generator(recipe.generator)
            assert isinstance(network, CopyGenerator)
            network.copy_only()
        score(learner.pictures_seen, network)


if __name__ == "__main__":
    typer.run(main)
