"""Find and paint over props in front of the actor, using the usual appearance of each part of the body.

A ball, or anything else that moves in front of the person and is not in the pose, would be learned and drawn somewhere
near the body. Segmentation takes it for the person. But it is in another place in every frame: measured along and
across each limb, the median over the footage shows only the body.
"""

# Shapes: F frames, N pixels, H and W pixels.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.crop import resized
from motion.frame import Picture
from motion.pose import Pose
from motion.wardrobe.pieces import facing_of
from motion.wardrobe.placing import Floats, measure_limbs, place
from training.data.plate import Mask, grown

_HEAD: Final = (skeleton.NOSE, skeleton.R_EYE, skeleton.L_EYE, skeleton.R_EAR, skeleton.L_EAR)
_LIMBS: Final = tuple(
    limb for limb in skeleton.BODY_LIMBS if not (limb[0] in _HEAD and limb[1] in _HEAD) and limb[1] not in (20, 23)
)
"""The limbs between eyes and ears are left out: the head belongs to the neck's limb."""

_ALONG_BINS: Final = 24
_ACROSS_BINS: Final = 16
_ALONG_RANGE: Final = (-0.3, 1.5)
_ACROSS_RANGE: Final = (-0.45, 0.45)
"""Along: in lengths of the limb. Across: in lengths of the torso, signed, so that front and back differ."""

_BINS: Final = len(_LIMBS) * _ALONG_BINS * _ACROSS_BINS
_ON_PERSON: Final = 128
_FEWEST_FRAMES: Final = 8
MOST_FRAMES: Final = 120
_FEWEST_LEVELS: Final = 60.0
_SPREADS: Final = 4.0
"""A prop's pixel differs from its place's median by more than both: levels of 255, and median deviations."""

_PLATE_DIFFERENCE: Final = 36
_RIM: Final = 1 / 25
"""How far a prop may stick out of the person's mask and still be in its margin, as a fraction of the height."""

_MOST_ROWS: Final = 256
"""Larger pictures are searched at this height: bins and props are larger than a pixel."""
_SMALLEST_PROP: Final = 1 / 800
"""As a fraction of the picture: anything smaller is a fold, a watch or a shadow."""


@dataclass(frozen=True, slots=True)
class _Places:
    """The places of `N` pixels on the body. rows, columns: of the pixel. bins: `[N]` indices into the texture."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    bins: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Usual:
    """What every place on the body looks like from one side.

    known: `[bins]` bool, the places seen in enough frames. median: `[bins, 3]` float32. limit: `[bins]` float32, how
    far a colour may be from the median.
    """

    known: NDArray[np.bool_]
    median: NDArray[np.float32]
    limit: NDArray[np.float32]


class BodyTexture:
    """The usual colour of every place on the body, and how much it varies; for each side that the camera sees.

    Without the sides, letters on the back of a person who mostly faces the camera would be props.

    pictures: `[H, W, 3]` uint8 RGB. masks: `[H, W]` uint8, 255 on the person. poses: in pixels of the pictures.
    Raises ValueError without a frame.
    """

    def __init__(self, pictures: Sequence[Picture], masks: Sequence[Mask], poses: Sequence[Pose]) -> None:
        if not len(pictures) or not len(pictures) == len(masks) == len(poses):
            raise ValueError(f"got {len(pictures)} pictures, {len(masks)} masks and {len(poses)} poses")
        self._lengths_px: Floats | None
        try:
            self._lengths_px = measure_limbs(poses)
        except ValueError:  # no frame shows a whole limb
            self._lengths_px = None
        means = np.stack([_means(*frame) for frame in zip(pictures, masks, poses, strict=True)])
        sides = np.array([self._side(pose) for pose in poses])
        self._by_side = {side: _usual(means[sides == side]) for side in np.unique(sides).tolist()}

    def _side(self, pose: Pose) -> str:
        return "" if self._lengths_px is None else facing_of(place(pose, self._lengths_px))

    def cleaned(self, picture: Picture, mask: Mask, pose: Pose, plate: Picture, beside: Mask) -> Picture:
        """The picture with props painted over.

        A prop is replaced by the body's usual colour on the person, and by the plate beside the person.
        beside: `[H, W]` uint8, above 0 where a prop was found beside the person.
        """
        usual, small_mask, small_pose = _searched(picture, mask, pose)
        usual = usual.copy()
        in_front = np.zeros(small_mask.shape, np.uint8)
        places, here = _places(small_mask, small_pose), self._by_side.get(self._side(pose))
        if places is not None and here is not None:
            known = here.known[places.bins]
            rows, columns, bins = places.rows[known], places.columns[known], places.bins[known]
            colours = here.median[bins]
            difference = np.abs(usual[rows, columns] - colours).max(axis=-1)
            in_front[rows, columns] = np.where(difference > here.limit[bins], 255, 0)
            usual[rows, columns] = np.rint(colours).astype(np.uint8)
        small = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        in_front = _large_parts(np.asarray(cv2.morphologyEx(in_front, cv2.MORPH_OPEN, small), np.uint8))
        if not in_front.any() and not beside.any():
            return picture
        height_px, width_px = mask.shape
        usual, in_front = resized(usual, width_px, height_px), resized(in_front, width_px, height_px)
        prop = np.maximum(np.where(in_front >= _ON_PERSON, 255, 0), np.where(beside > 0, 255, 0)).astype(np.uint8)
        rim = (mask < _ON_PERSON) & (cv2.absdiff(picture, plate).max(axis=2) > _PLATE_DIFFERENCE)
        prop[rim & (grown(prop, _RIM * mask.shape[0]) > 0)] = 255
        prop = grown(prop, mask.shape[0] / 85)
        # The usual colours come in bins: with their edges blurred they look like cloth.
        instead = np.where((mask >= _ON_PERSON)[..., None], cv2.GaussianBlur(usual, (0, 0), 1.2), plate)
        share = cv2.GaussianBlur(prop, (0, 0), 1.0)[..., None] / 255
        painted: Picture = np.rint(picture * (1 - share) + instead * share).astype(np.uint8)
        return painted


def _means(picture: Picture, mask: Mask, pose: Pose) -> NDArray[np.float32]:
    """The mean colour of every place on the body in one frame, `[bins, 3]`; NaN where it is not seen."""
    picture, mask, pose = _searched(picture, mask, pose)
    means = np.full((_BINS, 3), np.nan, np.float32)
    places = _places(mask, pose)
    if places is None:
        return means
    hits = np.bincount(places.bins, minlength=_BINS)
    seen = hits > 0
    colours = picture[places.rows, places.columns].astype(np.float64)
    for channel in range(3):
        sums = np.bincount(places.bins, weights=colours[:, channel], minlength=_BINS)
        means[seen, channel] = sums[seen] / hits[seen]
    return means


def _usual(means: NDArray[np.float32]) -> _Usual:
    """What `[F, bins, 3]` frames of one side have in common."""
    frames_seen = np.isfinite(means[..., 0]).sum(axis=0)
    # Heads turn: hair in the usual place of the face is not a prop.
    head = np.arange(_BINS) // (_ALONG_BINS * _ACROSS_BINS) == _LIMBS.index((skeleton.NECK, skeleton.NOSE))
    known = (frames_seen >= _FEWEST_FRAMES) & ~head
    median = np.zeros((_BINS, 3), np.float32)
    spread = np.zeros(_BINS, np.float32)
    if known.any():
        median[known] = np.nanmedian(means[:, known], axis=0)
        spread[known] = np.nanmedian(np.abs(means[:, known] - median[known]).max(axis=-1), axis=0)
    return _Usual(known, median, np.maximum(_FEWEST_LEVELS, _SPREADS * spread).astype(np.float32))


def _searched(picture: Picture, mask: Mask, pose: Pose) -> tuple[Picture, Mask, Pose]:
    """The same at the size that is searched."""
    height_px, width_px = mask.shape
    if height_px <= _MOST_ROWS:
        return picture, mask, pose
    size = (round(width_px * _MOST_ROWS / height_px), _MOST_ROWS)
    scaled = pose.transformed(size[0] / width_px, size[1] / height_px, 0, 0)
    return resized(picture, *size), resized(mask, *size), scaled


def _places(mask: Mask, pose: Pose) -> _Places | None:
    """The place of every pixel of the person; None if no limb or no torso was seen."""
    neck_px, hips_px = pose.joint(skeleton.NECK), pose.joint(skeleton.MID_HIP)
    shown = [i for i, (a, b) in enumerate(_LIMBS) if pose.confidence[a] > 0 and pose.confidence[b] > 0]
    if neck_px is None or hips_px is None or not shown:
        return None
    torso_px = max(float(np.linalg.norm(neck_px - hips_px)), 1.0)
    rows, columns = np.nonzero(mask >= _ON_PERSON)
    points_N2 = np.stack([columns + 0.5, rows + 0.5], axis=1)
    starts = pose.joints_px[[_LIMBS[i][0] for i in shown]].astype(np.float64)
    ends = pose.joints_px[[_LIMBS[i][1] for i in shown]].astype(np.float64)
    limbs = ends - starts
    lengths_px = np.maximum(np.linalg.norm(limbs, axis=1), 1.0)
    directions = limbs / lengths_px[:, None]
    offsets = points_N2[:, None] - starts[None]
    along = (offsets * directions).sum(axis=-1) / lengths_px
    across = (offsets[..., 0] * -directions[:, 1] + offsets[..., 1] * directions[:, 0]) / torso_px
    beyond = (along - np.clip(along, 0, 1)) * lengths_px / torso_px
    nearest = np.argmin(np.hypot(beyond, across), axis=1)
    chosen = np.arange(len(points_N2)), nearest
    bins = (
        np.array(shown)[nearest] * _ALONG_BINS + _binned(along[chosen], _ALONG_RANGE, _ALONG_BINS)
    ) * _ACROSS_BINS + _binned(across[chosen], _ACROSS_RANGE, _ACROSS_BINS)
    return _Places(rows, columns, bins)


def _binned(values: NDArray[np.float64], limits: tuple[float, float], bins: int) -> NDArray[np.int64]:
    share = (values - limits[0]) / (limits[1] - limits[0])
    return np.clip((share * bins).astype(np.int64), 0, bins - 1)


def _large_parts(mask: Mask) -> Mask:
    """The connected parts of a mask that are large enough to be a prop."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    large = stats[:, cv2.CC_STAT_AREA] >= _SMALLEST_PROP * mask.size
    large[0] = False
    return np.where(large[labels], 255, 0).astype(np.uint8)
