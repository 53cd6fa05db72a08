"""Evaluate a transfer against its ground truth, which only a rendered pair of dancers has.

The source's clip was transferred to the actor; the *truth* shows the actor, rendered in the source's poses, in the
actor's place and with the actor's camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import Picture
from motion.pose import Pose
from serving.actors.store import Actor
from serving.errors import BadInput, NoBody
from serving.process.stop_signals import checked
from training.data.footage import footage_frames
from training.evaluation.flicker import own_flicker
from training.evaluation.keypoints import PARTS, detected
from training.evaluation.lpips import Lpips
from training.evaluation.score_rows import EvaluationRow, Runs, Source, measured_all
from training.evaluation.self_reconstruction import Evaluation
from training.evaluation.sharpness import inner_gradient
from training.preparation.crop_arrays import Progress

_JOINTS = [joint for joint in PARTS["body"].tolist() if joint not in (skeleton.NECK, skeleton.MID_HIP)]
"""The body's joints, without those that are midpoints of others."""


def evaluate_transfer(
    actor: Actor,
    transferred: Sequence[Picture | None],
    truth_path: Path,
    joints_path: Path | None,
    lpips: Lpips | None,
    on_step: Progress,
) -> Evaluation:
    """Measure a transfer's pictures, of the actor's crop, against the film of the right answer.

    transferred: one for each of the film's frames; None if the transfer drew none. joints_path: the true joints, as
    `samples.make` writes them. Raises BadInput if film and transfer do not belong together, NoBody if the detector
    finds no person in the film.
    """
    crop = actor.crop
    frames = list(footage_frames(truth_path))
    if len(frames) != len(transferred):
        raise BadInput("--truth", f"{truth_path} has {len(frames)} frames, the transfer {len(transferred)}")
    size = actor.frame_size
    if frames[0].shape[:2] != (size.height_px, size.width_px):
        raise BadInput(
            "--truth", f"{truth_path} is {frames[0].shape[1]}x{frames[0].shape[0]}, the actor's footage "
            f"{size.width_px}x{size.height_px}"
        )  # fmt: skip
    found = detected([checked(frames, partial(on_step, "looking for poses", 0, None))])[0]
    used = [i for i, (pose, drawn) in enumerate(zip(found, transferred, strict=True)) if pose and drawn is not None]
    if not used:
        raise NoBody(f"{truth_path}: no person is found in any frame that was drawn")
    plate = actor.read_crop_plate()
    real = [[crop.cut_onto(plate, frames[i]) for i in used]]
    asked = [[crop.to_crop(pose) for i in used if (pose := found[i]) is not None]]
    drawn = [[picture for i in used if (picture := transferred[i]) is not None]]
    sources: list[Source] = [
        ("the transfer", drawn, {}),
        ("the actor's place with nobody", [[plate] * len(used)], {"has_motion": False}),
        ("the right answer itself", real, {"is_real": True}),
    ]
    rows = measured_all(sources, real, asked, actor.face_rule, lpips, partial(on_step, "measuring the transfer"))
    facts: dict[str, Any] = {"frames": len(frames), "frames_compared": len(used)}
    facts |= _beside_film((rows[0], drawn), (rows[-1], real), asked)
    if joints_path is not None:
        true = _true_joints(joints_path, len(frames))[used] - np.array([crop.x_px, crop.y_px])
        true *= np.array([crop.out_width_px / crop.width_px, crop.out_height_px / crop.height_px])
        for name, row in (("transfer", rows[0]), ("detector", rows[-1])):
            facts |= {f"{name}_{key}": value for key, value in _joint_errors(row.found[0], true).items()}
    chosen = np.unique(np.linspace(0, len(used) - 1, 8).round().astype(int))
    return Evaluation(
        title=f"{actor.id} version {actor.version}: a transfer against its right answer, {len(used)} frames",
        rows=rows,
        picture_size=(crop.out_width_px, crop.out_height_px),
        notes=[f"frames that were not drawn: {sum(picture is None for picture in transferred)} of {len(frames)}"],
        facts=facts,
        shown=[[drawn[0][i], real[0][i], _difference(drawn[0][i], real[0][i])] for i in chosen],
        shown_rows=("transferred", "right answer", "difference"),
    )


def _beside_film(
    transfer: tuple[EvaluationRow, Runs], film: tuple[EvaluationRow, Runs], asked: Sequence[Sequence[Pose]]
) -> dict[str, float | None]:
    """Sharpness and flicker of a transfer over the film's, each measured where its own person is.

    The dancer may stand elsewhere than in the film, so pixels are not compared.
    """
    both = (transfer, film)
    sharp = [inner_gradient(*_with_pose(row, runs)) for row, runs in both]
    calm = [own_flicker(runs, asked) for _, runs in both]
    return {
        name: one / other if one is not None and other else None
        for name, (one, other) in (("sharpness_over_film", sharp), ("flicker_over_film", calm))
    }


def _with_pose(row: EvaluationRow, runs: Runs) -> tuple[list[Picture], list[Pose]]:
    pairs = [pair for run in zip(runs, row.found, strict=True) for pair in zip(*run, strict=True)]
    return [picture for picture, pose in pairs if pose], [pose for _, pose in pairs if pose]


def _true_joints(path: Path, frames: int) -> NDArray[np.float64]:
    try:
        with np.load(path) as stored:
            joints_px = np.asarray(stored["joints_px"], np.float64)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput("--truth", f"{path} holds no true joints: {error}") from error
    if joints_px.shape != (frames, skeleton.BODY_COUNT, 2):
        raise BadInput("--truth", f"{path} holds joints {joints_px.shape}, expected ({frames}, 25, 2)")
    return joints_px


def _joint_errors(found: Sequence[Pose | None], true: NDArray[np.float64]) -> dict[str, float | int | None]:
    """The joints' errors in pixels of the crop.

    They are the mean error over the body's joints, the mean offset of the hips (x to the right, y down), and the mean
    error after each frame's hips are aligned.
    """
    errors, aligned, offsets = [], [], []
    for pose, joints_px in zip(found, true, strict=True):
        if pose is None:
            continue
        seen = [joint for joint in _JOINTS if pose.confidence[joint] > 0]
        difference = pose.joints_px[seen].astype(np.float64) - joints_px[seen]
        errors.append(np.linalg.norm(difference, axis=1))
        hips_px = pose.joint(skeleton.MID_HIP)
        if hips_px is not None:
            offset = hips_px.astype(np.float64) - joints_px[skeleton.MID_HIP]
            offsets.append(offset)
            aligned.append(np.linalg.norm(difference - offset, axis=1))
    place = np.mean(offsets, axis=0) if offsets else None
    return {
        "frames_with_a_pose": sum(pose is not None for pose in found),
        "joint_error_px": float(np.concatenate(errors).mean()) if errors else None,
        "joint_error_aligned_px": float(np.concatenate(aligned).mean()) if aligned else None,
        "hips_offset_x_px": None if place is None else float(place[0]),
        "hips_offset_y_px": None if place is None else float(place[1]),
        "hips_distance_px": float(np.linalg.norm(offsets, axis=1).mean()) if offsets else None,
    }


def _difference(one: Picture, other: Picture) -> Picture:
    """The absolute difference, inverted so that white means none."""
    return np.asarray(255 - np.abs(one.astype(np.int16) - other), np.uint8)
