"""Rows of scores: one source of drawn frames, measured with every metric."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from motion.crop import resized
from motion.face_region import FaceRule, cut_face, face_region
from motion.frame import Picture
from motion.pose import Pose
from serving.process.stop_signals import checked
from training.evaluation.flicker import flicker_levels
from training.evaluation.keypoints import PartScore, detected, part_scores
from training.evaluation.lpips import SMALLEST_SIDE_PX, Lpips
from training.evaluation.metrics import PictureScores, body_box, mean_pose_distance, score_pictures

Runs = Sequence[Sequence[Picture]]
Source = tuple[str, Runs, dict[str, Any]]
"""A source of drawn frames: its name, its runs, and options of `measured`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationRow:
    """The measurements of one source of drawn frames.

    pictures: SSIM and PSNR; None for the real frames themselves. body_lpips, face_lpips: None if not available.
    parts: by name, see `keypoints.PARTS`. pose_distance: see `training.evaluation.metrics`, in torso lengths.
    flicker_levels: see `flicker`, None if it could not be measured. has_motion: whether flicker is meaningful here.
    frames_per_second: None if nothing was drawn. frame_ssim: the body's, per frame. found: the detected poses, by run.
    """

    drawn_by: str
    frames: int
    pictures: PictureScores | None
    body_lpips: float | None
    face_lpips: float | None
    parts: dict[str, PartScore]
    frames_with_a_pose: int
    pose_distance: float | None
    flicker_levels: float | None
    has_motion: bool = True
    frames_per_second: float | None = None
    frame_ssim: list[float] = field(default_factory=list)
    found: Sequence[Sequence[Pose | None]] = ()


def measured_all(
    sources: Sequence[Source],
    real: Runs,
    asked: Sequence[Sequence[Pose]],
    rule: FaceRule,
    lpips: Lpips | None,
    on_step: Callable[[int, int], None],
    masks: Sequence[NDArray[np.uint8]] | None = None,
) -> list[EvaluationRow]:
    """A row for each source; see `measured`. on_step: called with the sources done and their number; it may raise."""
    rows = []
    for done, (name, runs, options) in enumerate(sources):
        check = partial(on_step, done, len(sources))
        rows.append(measured(name, runs, real, asked, rule, lpips, masks, check=check, **options))
    on_step(len(sources), len(sources))
    return rows


def measured(
    drawn_by: str,
    runs: Runs,
    real: Runs,
    asked: Sequence[Sequence[Pose]],
    rule: FaceRule,
    lpips: Lpips | None,
    masks: Sequence[NDArray[np.uint8]] | None = None,
    *,
    frames_per_second: float | None = None,
    is_real: bool = False,
    has_motion: bool = True,
    check: Callable[[], None] = lambda: None,
) -> EvaluationRow:
    """Measure runs of consecutive pictures, `[H, W, 3]` uint8 RGB, against the real ones; poses in their pixels.

    masks: `[H, W]` uint8 for each frame of all runs, 255 on the real person; without them there is no sharpness.
    is_real: these are the real pictures, so they are not compared with themselves. has_motion: consecutive pictures
    belong together, so flicker is meaningful. check: called before each frame is measured; it may raise.
    """
    flat, flat_real = [p for run in runs for p in run], [p for run in real for p in run]
    poses = [pose for run in asked for pose in run]
    found = detected(checked(run, check) for run in runs)
    flat_found = [pose for run in found for pose in run]
    flicker: list[float] = []
    if has_motion:
        for drawn_run, real_run, asked_run in zip(checked(runs, check), real, asked, strict=True):
            flicker += flicker_levels(drawn_run, real_run, asked_run)
    body_lpips, face_lpips = (None, None) if is_real else _lpips_of(flat, flat_real, checked(poses, check), rule, lpips)
    return EvaluationRow(
        drawn_by=drawn_by,
        frames=len(flat),
        pictures=None if is_real else score_pictures(flat, flat_real, checked(poses, check), rule, masks),
        body_lpips=body_lpips,
        face_lpips=face_lpips,
        parts=part_scores(poses, flat_found),
        frames_with_a_pose=sum(pose is not None for pose in flat_found),
        pose_distance=mean_pose_distance(poses, flat_found),
        flicker_levels=float(np.mean(flicker)) if flicker else None,
        has_motion=has_motion,
        frames_per_second=frames_per_second,
        frame_ssim=[] if is_real else _each_ssim(flat, flat_real, checked(poses, check), rule),
        found=found,
    )


def _each_ssim(drawn: Sequence[Picture], real: Sequence[Picture], poses: Iterable[Pose], rule: FaceRule) -> list[float]:
    return [score_pictures([a], [b], [pose], rule).body_ssim for a, b, pose in zip(drawn, real, poses, strict=True)]


def _lpips_of(
    drawn: Sequence[Picture], real: Sequence[Picture], poses: Iterable[Pose], rule: FaceRule, lpips: Lpips | None
) -> tuple[float | None, float | None]:
    """Means over body crops at the pictures' own resolution, and over face crops at the face network's."""
    if lpips is None:
        return None, None
    body, face = [], []
    for picture, truth, pose in zip(drawn, real, poses, strict=True):
        height_px, width_px = truth.shape[:2]
        box = body_box(pose, width_px, height_px)
        body.append(lpips.distance(*(_large_enough(whole[box]) for whole in (picture, truth))))
        region = face_region(pose, rule, width_px, height_px)
        if region is not None:
            face.append(lpips.distance(*(cut_face(whole, region, rule.crop_px) for whole in (picture, truth))))
    return float(np.mean(body)), float(np.mean(face)) if face else None


def _large_enough(crop: Picture) -> Picture:
    height_px, width_px = crop.shape[:2]
    return resized(crop, max(width_px, SMALLEST_SIDE_PX), max(height_px, SMALLEST_SIDE_PX))
