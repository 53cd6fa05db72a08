"""Which scores reward blur? Blurs the person that an actor draws, more and more, and scores the pictures each time.

The held-out frames of the actor's own footage are drawn as published. Then only the person is blurred (a Gaussian, with
the edge of the mask), not the place, and nothing is moved. A score that rises with blur prefers the worse picture.

`python -m benchmarks.blur_and_scores ACTOR... --actors FOLDER --work FOLDER`; the footage must be prepared there.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from benchmarks.table import header, row
from motion.frame import Picture
from serving.actors.store import Actor, ActorStore
from training.data.prepared_footage import PreparedFootage
from training.data.split import Split
from training.evaluation.actor_runner import PublishedActor
from training.evaluation.held_out_frames import HeldOut
from training.evaluation.self_reconstruction import footage_of
from training.options import DEFAULT_PRESET
from training.presets import preset_named

_SIGMAS_PX = (0.0, 0.5, 0.75, 1.0, 1.5, 2.0)
_COLUMNS = (
    "drawn by", "blur, px", "body SSIM", "body PSNR", "face SSIM", "face PSNR", "sharpness", "face sharpness",
    "flicker, drawn / film", "pose distance", "face points missed",
)  # fmt: skip


def main(
    actors: Annotated[list[str], typer.Argument(help="Actors of the same footage, NAME or NAME:VERSION.")],
    root: Annotated[Path, typer.Option("--actors", help="Folder of the actors.")] = Path("actors"),
    work: Annotated[Path, typer.Option(help="Folder with the prepared footage.")] = Path("work"),
) -> None:
    """Print a row for each actor and blur."""
    print(header(*_COLUMNS))
    for name in actors:
        actor_id, _, version = name.partition(":")
        actor = ActorStore(root).load(actor_id, int(version or 0))
        prepared = footage_of(actor, None, work, lambda *_: None, typer.echo)
        blocks = [range(start, stop) for start, stop in actor.trained["held_out_blocks"]]
        held_out = HeldOut(
            prepared,
            Split(blocks, prepared.split().trained),
            replace(preset_named(DEFAULT_PRESET), face_rule=actor.face_rule),
        )
        runs = _drawn(actor, prepared, held_out)
        for sigma_px in _SIGMAS_PX:
            soft = [
                [_blurred(picture, prepared.masks[frame], prepared.crop_plate, sigma_px) for picture, frame in pairs]
                for pairs in (zip(*both, strict=True) for both in zip(runs, held_out.runs, strict=True))
            ]
            print(row(f"{actor.id} version {actor.version}", f"{sigma_px:g}", *_scores(held_out, soft)), flush=True)


def _drawn(actor: Actor, prepared: PreparedFootage, held_out: HeldOut) -> list[list[Picture]]:
    acting = PublishedActor(actor)
    poses = [[prepared.crop.from_crop(prepared.crop_pose(frame)) for frame in run] for run in held_out.runs]
    return [
        acting.run(asked, held_out.allowed(acting.wardrobe, run))[1]
        for asked, run in zip(poses, held_out.runs, strict=True)
    ]


def _blurred(picture: Picture, mask: NDArray[np.uint8], plate: Picture, sigma_px: float) -> Picture:
    """The picture with the person blurred, `[H, W, 3]` uint8; the edge of the person is blurred over the plate."""
    if not sigma_px:
        return picture
    wide = cv2.dilate(mask, np.ones((5, 5), np.uint8)).astype(np.float32)[..., None] / 255
    both = np.concatenate([picture * wide, wide], axis=2)
    soft = np.asarray(cv2.GaussianBlur(both, (0, 0), sigma_px), np.float32)
    beside = np.where(wide > 0, plate, picture)
    return np.asarray(np.rint(soft[..., :3] + (1 - soft[..., 3:]) * beside).clip(0, 255), np.uint8)


def _scores(held_out: HeldOut, runs: list[list[Picture]]) -> list[str]:
    pictures, poses, flicker = held_out.scores(runs), held_out.pose_scores(runs), held_out.flicker(runs)
    values = (
        (pictures.body_ssim, 3), (pictures.body_psnr_db, 2), (pictures.face_ssim, 3), (pictures.face_psnr_db, 2),
        (pictures.sharpness, 2), (pictures.face_sharpness, 2), (flicker.ratio, 2), (poses.distance, 3),
    )  # fmt: skip
    shown = ["n/a" if value is None else f"{value:.{digits}f}" for value, digits in values]
    return [*shown, "n/a" if poses.face_missed is None else f"{poses.face_missed:.0%}"]


if __name__ == "__main__":
    typer.run(main)
