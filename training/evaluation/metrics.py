"""The quality of drawn pictures: compared with the real ones, and by the pose that a detector finds in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from motion import skeleton
from motion.face_region import FaceRule, cut_face, face_region
from motion.frame import Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.backends import mediapipe_estimator
from training.evaluation.sharpness import sharpness

_BODY_MARGIN: Final = 0.08
"""The margin around the joints for hair, clothes and shoes, as a fraction of the pose's height."""

_COMPARED_JOINTS: Final = 15
_SURE: Final = 0.5

SSIM_SETTINGS: Final = (
    "SSIM: Gaussian window of 11x11 pixels, sigma 1.5; K1 0.01, K2 0.03, range 255; variances of the window itself "
    "(not of a sample); computed for R, G and B separately, then averaged; the crop is not reduced. SSIM: "
    "torchmetrics' mean over all pixels, with the crop mirrored beyond its edges. SSIM inside: scikit-image's mean "
    "over the pixels whose whole window lies in the crop, 5 pixels from its edges"
)
"""For comparison with others' numbers; the settings of the paper's are unknown."""


@dataclass(frozen=True, slots=True)
class PictureScores:
    """Means over frames, compared with the real pictures; PSNR in dB, SSIM in [-1, 1]. Face scores may be None.

    body: a box around the pose. face: the square that the face network sees, at the pictures' own resolution.
    ssim: torchmetrics' mean over all pixels, of crops mirrored beyond their edges. ssim_inside: the mean over those
    whose whole window lies in the crop, as in scikit-image. Settings of both: `SSIM_SETTINGS`.
    sharpness: gradient of the drawn person over the real one's, see `training.evaluation.sharpness`; None without
    masks. face_sharpness: the same in the square of the face.
    """

    frames: int
    body_ssim: float
    body_ssim_inside: float
    body_psnr_db: float
    faces: int
    face_ssim: float | None
    face_ssim_inside: float | None
    face_psnr_db: float | None
    sharpness: float | None = None
    face_sharpness: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """The numbers by name, rounded for people."""
        return _rounded(self)


def score_pictures(
    drawn: Sequence[Picture],
    real: Sequence[Picture],
    poses: Iterable[Pose],
    face_rule: FaceRule,
    masks: Sequence[NDArray[np.uint8]] | None = None,
) -> PictureScores:
    """Score drawn pictures against real ones, `[H, W, 3]` uint8 RGB; poses in pixels of these pictures.

    masks: `[H, W]` uint8 each, 255 on the real person; without them there is no sharpness of the person.
    Raises ValueError for no pictures, or for sequences of different lengths.
    """
    if not drawn or len(drawn) != len(real):
        raise ValueError(f"cannot score {len(drawn)} drawn against {len(real)} real pictures")
    body: list[tuple[float, float, float]] = []
    face: list[tuple[float, float, float]] = []
    sharp: list[float | None] = []
    face_sharp: list[float | None] = []
    for index, (picture, truth, pose) in enumerate(zip(drawn, real, poses, strict=True)):
        height_px, width_px = truth.shape[:2]
        rows, columns = body_box(pose, width_px, height_px)
        body.append(_likeness(picture[rows, columns], truth[rows, columns]))
        region = face_region(pose, face_rule, width_px, height_px)
        if region is not None:
            side_px = max(region.side_px, _SMALLEST_SIDE_PX)
            faces = cut_face(picture, region, side_px), cut_face(truth, region, side_px)
            face.append(_likeness(*faces))
            face_sharp.append(sharpness(*faces))
        if masks is not None:
            sharp.append(sharpness(picture, truth, masks[index]))
    face_ssim, face_ssim_inside, face_psnr_db = np.mean(face, axis=0).tolist() if face else (None, None, None)
    ssim, ssim_inside, psnr_db = np.mean(body, axis=0).tolist()
    return PictureScores(
        frames=len(body),
        body_ssim=ssim,
        body_ssim_inside=ssim_inside,
        body_psnr_db=psnr_db,
        faces=len(face),
        face_ssim=face_ssim,
        face_ssim_inside=face_ssim_inside,
        face_psnr_db=face_psnr_db,
        sharpness=_mean(sharp),
        face_sharpness=_mean(face_sharp),
    )


_HALF_WINDOW_PX: Final = 5
_SMALLEST_SIDE_PX: Final = 12
"""SSIM compares windows of 11 pixels."""


def body_box(pose: Pose, width_px: int, height_px: int) -> tuple[slice, slice]:
    """Rows and columns of the box around the seen joints and a margin, inside the picture.

    At least 12 pixels a side in pictures that large. Raises ValueError for a pose without joints.
    """
    if not pose.seen.any():
        raise ValueError("a pose without joints has no box")
    joints_px = pose.joints_px[pose.seen]
    low_px, high_px = joints_px.min(axis=0), joints_px.max(axis=0)
    margin_px = _BODY_MARGIN * float(high_px[1] - low_px[1])
    return (
        _span(float(low_px[1]) - margin_px, float(high_px[1]) + margin_px, height_px),
        _span(float(low_px[0]) - margin_px, float(high_px[0]) + margin_px, width_px),
    )


def pose_distance(asked: Pose, found: Pose) -> float | None:
    """Mean distance between joints 0 to 14 that both poses show with a confidence of at least 0.5, in torso lengths.

    Both in pixels of the same picture; the torso (neck to middle of the hips) is the asked pose's. None if no joint is
    shared or the torso is not seen.
    """
    shared = (asked.confidence[:_COMPARED_JOINTS] >= _SURE) & (found.confidence[:_COMPARED_JOINTS] >= _SURE)
    neck_px, hips_px = asked.joint(skeleton.NECK), asked.joint(skeleton.MID_HIP)
    if not shared.any() or neck_px is None or hips_px is None:
        return None
    torso_px = float(np.linalg.norm(neck_px - hips_px))
    if torso_px == 0:
        return None
    offsets_px = (asked.joints_px - found.joints_px)[:_COMPARED_JOINTS][shared]
    return float(np.linalg.norm(offsets_px, axis=1).mean()) / torso_px


def missed_joints(asked: Pose, found: Pose | None) -> tuple[int, int]:
    """How many of joints 0 to 14 that are asked for with a confidence of at least 0.5 are not found so, of how many.

    A limb that is half transparent is not found, so it does not enter the pose distance; this is where it counts.
    """
    wanted = asked.confidence[:_COMPARED_JOINTS] >= _SURE
    there = np.zeros_like(wanted) if found is None else found.confidence[:_COMPARED_JOINTS] >= _SURE
    return int((wanted & ~there).sum()), int(wanted.sum())


def missed_face(asked: Pose, found: Pose | None) -> tuple[int, int]:
    """How many of the face's points that are asked for are not found, of how many: nearly all or nearly none of 70.

    A detector does not find a blurred face, however near its colours are to the real ones.
    """
    wanted = asked.seen[skeleton.FACE]
    there = np.zeros_like(wanted) if found is None else found.seen[skeleton.FACE]
    return int((wanted & ~there).sum()), int(wanted.sum())


def share(counts: Iterable[tuple[int, int]]) -> float | None:
    """The sum of the first numbers over that of the second; None if the second ones are 0."""
    first, second = np.sum(list(counts), axis=0)
    return float(first / second) if second else None


def mean_pose_distance(asked: Sequence[Pose], found: Sequence[Pose | None]) -> float | None:
    """The mean `pose_distance` of the frames that have one; None without any."""
    each = (pose_distance(one, other) for one, other in zip(asked, found, strict=True) if other is not None)
    distances = [distance for distance in each if distance is not None]
    return float(np.mean(distances)) if distances else None


@dataclass(frozen=True, slots=True)
class PoseScores:
    """The detector's results on drawn frames.

    distance: mean `pose_distance` in torso lengths, None without one. missed: the share of the asked joints that are
    not found, in [0, 1]; see `missed_joints`. face_missed: the same of the face's points; None if none was asked for.
    """

    frames: int
    frames_with_a_pose: int
    distance: float | None
    missed: float | None = None
    face_missed: float | None = None

    def to_dict(self) -> dict[str, float | int | None]:
        """The numbers by name, rounded for people."""
        return _rounded(self)


def score_poses(runs: Iterable[Iterable[Picture]], asked: Sequence[Sequence[Pose]]) -> PoseScores:
    """Run the detector on consecutive pictures, with a tracker per run, and compare with the poses asked for.

    runs: `[H, W, 3]` uint8 RGB each. asked: one pose per picture, in its pixels.
    """
    found: list[Pose | None] = []
    for pictures in runs:
        with closing(mediapipe_estimator(PoseDetail.HOLISTIC)) as estimator:
            found += [estimator.estimate(picture).dancer for picture in pictures]
    poses = [pose for run in asked for pose in run]
    return PoseScores(
        frames=len(found),
        frames_with_a_pose=sum(pose is not None for pose in found),
        distance=mean_pose_distance(poses, found),
        missed=share(map(missed_joints, poses, found)),
        face_missed=share(map(missed_face, poses, found)),
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _rounded(scores: PictureScores | PoseScores) -> dict[str, float | int | None]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(scores).items()}


def _span(low_px: float, high_px: float, size_px: int) -> slice:
    missing_px = max(0.0, _SMALLEST_SIDE_PX - (high_px - low_px))
    low, high = int(np.floor(low_px - missing_px / 2)), int(np.ceil(high_px + missing_px / 2))
    low = min(max(low, 0), max(size_px - _SMALLEST_SIDE_PX, 0))
    return slice(low, min(max(high, low + _SMALLEST_SIDE_PX), size_px))


def _likeness(picture: Picture, truth: Picture) -> tuple[float, float, float]:
    """SSIM, SSIM inside, and PSNR in dB."""
    drawn_13HW, truth_13HW = _tensor(picture), _tensor(truth)
    ssim, map_13HW = structural_similarity_index_measure(
        drawn_13HW,
        truth_13HW,
        sigma=1.5,
        data_range=255.0,
        k1=0.01,
        k2=0.03,
        return_full_image=True,
    )
    inside = map_13HW[..., _HALF_WINDOW_PX:-_HALF_WINDOW_PX, _HALF_WINDOW_PX:-_HALF_WINDOW_PX].mean()
    psnr_db = peak_signal_noise_ratio(drawn_13HW, truth_13HW, data_range=255.0)
    return float(ssim), float(inside), float(psnr_db)


def _tensor(picture: Picture) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]
