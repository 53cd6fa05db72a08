"""Does a network draw well at a smaller size than it was trained for, and what does that save?

Draws a whole clip at each size that the actor allows: label map, limbs, previous picture and plate at that size, the
same network. Pictures are enlarged to the actor's own size, as the client shows them, and measured against the film of
the right answer as `dance evaluate --truth` does: the joints that a detector finds, sharpness, flicker. All sizes draw
a frame before any draws the next one, so their CPU times compare whatever else the machine does.

`python -m benchmarks.picture_sizes actor_truth.mp4 --sheet sheet.png`, with the film and the joints beside it from
`python -m samples.make truth -o actor_truth.mp4`.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer

from benchmarks.cases import SAMPLES
from benchmarks.table import header, row
from client.transfer.look_ahead import look_ahead_for
from motion.body import fit_body, measure_body
from motion.crop import resized
from motion.frame import ZERO_LEVEL, FrameSize, Picture
from motion.labelmap import draw_label_map
from motion.pose import Pose
from motion.pose_choice import PoseBackend, PoseDetail
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from services.normalize.normalizer import Normalizer, NormalizerConfig, PoseFrame
from services.pose.backends import Backends
from services.pose.estimator import PoseRules
from serving.actors.sizes import crop_at, own_size, picture_sizes
from serving.actors.store import Actor, ActorStore
from serving.inference.engine import open_engine
from serving.process.atomic_files import write_picture
from training.evaluation.held_out_frames import preview_sheet
from training.evaluation.transfer import evaluate_transfer
from video.reader import VideoReader

_SHOWN = 8


def main(
    truth: Annotated[Path, typer.Argument(help="The film of the right answer, with its joints beside it.")],
    source: Annotated[Path, typer.Option(help="The clip to dance.")] = SAMPLES / "source_clip.mp4",
    actor: Annotated[str, typer.Option(help="The actor that dances it.")] = "sample",
    actors: Annotated[Path, typer.Option(help="Folder of the actors.")] = SAMPLES / "actors",
    threads: Annotated[int, typer.Option(min=1, help="Threads of OpenVINO.")] = 2,
    sheet: Annotated[Path | None, typer.Option(help="A picture of eight frames at every size.")] = None,
) -> None:
    """Print a row for each size."""
    cv2.setNumThreads(1)
    loaded = ActorStore(actors).load(actor)
    poses = _asked(source, loaded)
    sizes = [_Size(loaded, size, threads) for size in picture_sizes(loaded)]
    for pose in poses:
        for size in sizes:
            size.draw(pose)
    print(f"{loaded.id}, {len(poses)} frames, {sizes[0].precision}, {threads} threads\n")
    print(
        header(
            "size", "reference, CPU ms", "network, CPU ms", "both", "beside the first", "joints, px of the first",
            "joints missed", "sharpness", "flicker", "body SSIM",
        )
    )  # fmt: skip
    own = own_size(loaded)
    sheets = []
    for size in sizes:
        pictures = [resized(picture, own.width_px, own.height_px) for picture in size.pictures]
        sheets.append([pictures[i] for i in np.linspace(0, len(pictures) - 1, _SHOWN).round().astype(int)])
        found = evaluate_transfer(loaded, pictures, truth, truth.with_suffix(".npz"), None, lambda *_: None)
        facts, scores = found.facts, found.rows[0].pictures
        both = size.reference_ms + size.network_ms
        print(
            row(
                f"{size.crop.out_width_px}x{size.crop.out_height_px}",
                f"{size.reference_ms:.1f}",
                f"{size.network_ms:.1f}",
                f"{both:.1f}",
                f"{both / (sizes[0].reference_ms + sizes[0].network_ms):.2f}",
                f"{facts['transfer_joint_error_px']:.2f}",
                f"{len(poses) - facts['transfer_frames_with_a_pose']} frames",
                f"{facts['sharpness_over_film']:.2f}",
                f"{facts['flicker_over_film']:.2f}",
                f"{0 if scores is None else scores.body_ssim:.3f}",
            )
        )
    if sheet is not None:
        write_picture(
            sheet,
            preview_sheet(
                ", ".join(f"{size.crop.out_width_px} px" for size in sizes),
                [list(column) for column in zip(*sheets, strict=True)],
            ),
        )


def _asked(source: Path, actor: Actor) -> list[Pose]:
    """The poses of a clip in the actor's place, in pixels of the actor's footage, as `dance transfer` asks for them."""
    with VideoReader(str(source)) as reader:
        rate_hz = reader.frame_rate_hz
        frames = [frame.pixels for frame in reader.frames()]
    size = FrameSize(frames[0].shape[1], frames[0].shape[0])
    backends = Backends()
    estimator = backends.make(backends.config(PoseBackend.MEDIAPIPE_SOLUTION, PoseDetail.HOLISTIC, PoseRules()))
    found = [estimator.estimate(frame).dancer for frame in frames]
    estimator.close()
    measures = [measure for pose in found if pose is not None and (measure := measure_body(pose, size)) is not None]
    normalizer = Normalizer(
        NormalizerConfig(
            target_body=actor.body,
            target_size=actor.frame_size,
            source_body=fit_body(measures),
            look_ahead_frames=look_ahead_for(rate_hz),
            frame_rate_hz=rate_hz,
        )
    )
    answers = [answer for i, pose in enumerate(found) for answer in normalizer.push(PoseFrame(i, size, pose))]
    answers += normalizer.finish()
    poses = [answer.pose for answer in answers if answer.pose is not None]
    if len(poses) != len(frames):
        raise ValueError(f"{source}: expected a person in each of {len(frames)} frames, found one in {len(poses)}")
    return poses


class _Size:
    """The actor, drawn at one size: its pictures and what they cost."""

    def __init__(self, actor: Actor, size: FrameSize, threads: int) -> None:
        self.crop = crop_at(actor, size)
        self.pictures: list[Picture] = []
        wardrobe = actor.read_wardrobe()
        is_own = size == own_size(actor)
        self._wardrobe = wardrobe if is_own else wardrobe.resized(size.width_px, size.height_px)
        self._engine = open_engine(
            actor.generator_path, threads=threads, inputs=actor.generator.inputs, size=None if is_own else size
        )
        self.precision = self._engine.precision
        self._choice: Choice | None = None
        self._reference_ms: list[float] = []
        self._network_ms: list[float] = []

    def draw(self, pose: Pose) -> None:
        """Draw the next pose, in pixels of the actor's footage."""
        on_crop = self.crop.to_crop(pose)
        began = time.process_time()
        label = draw_label_map(on_crop, self.crop.out_width_px, self.crop.out_height_px)
        reference = draw_reference(self._wardrobe, on_crop, self._choice)
        self._choice = reference.choice
        drawn = time.process_time()
        previous = self.pictures[-1] if self.pictures else np.full_like(label, ZERO_LEVEL)
        self.pictures.append(self._engine.run(label, previous, reference.picture))
        self._reference_ms.append(1e3 * (drawn - began))
        self._network_ms.append(1e3 * (time.process_time() - drawn))

    @property
    def reference_ms(self) -> float:
        """CPU time of label map and reference, the median of all frames."""
        return statistics.median(self._reference_ms)

    @property
    def network_ms(self) -> float:
        """CPU time of the network, over all its threads, the median of all frames."""
        return statistics.median(self._network_ms)


if __name__ == "__main__":
    typer.run(main)
