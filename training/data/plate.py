"""The plate, which is the actor's place without the actor, and what in a frame is neither actor nor plate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.crop import resized
from motion.frame import Picture
from training.place.patch_filling import fill_holes
from training.process.in_parallel import in_parallel

Mask = NDArray[np.uint8]
"""`[H, W]` uint8, 255 on the person, soft at the outline."""

PERSON_FROM: Final = 38
"""Of 255: a mask value this low still counts as the person, so that the plate keeps no ghost."""

_BAND_ROWS: Final = 48
_BLOCK_PX: Final = 8
_SHADOW_REACH: Final = 0.25
"""As a fraction of the picture's height: beyond this distance the person's shadow does not matter."""
_FEWEST_FAR: Final = 5
_PICTURES_PER_SIGHT: Final = 40
"""A pixel seen in less than one in so many pictures, and one more, is filled in: one sight is often an outline."""
_PROP_DIFFERENCE: Final = 36
"""Of 255, in the colour channel that differs most: more than camera noise or a soft shadow."""

_MOST_SEARCHED_ROWS: Final = 256
_DARKEST_SHADOW: Final = 0.25
"""As a fraction of the place's light; less is a dark object. Other lamps and the sky light every shadow."""
_SHADOW_OFF_COLOUR: Final = 14
"""Of 255: how much a shadow's colour may differ from the place's at the same light; compression causes this much."""


@dataclass(frozen=True, slots=True)
class Plate:
    """picture: `[H, W, 3]` uint8 RGB. never_seen: the fraction of pixels that the person always hid (filled in)."""

    picture: Picture
    never_seen: float


@dataclass(frozen=True, slots=True, eq=False)
class Relit:
    """Where the person's shadow often lies, and what the place looks like there without it.

    picture: `[H, W, 3]` uint8 RGB. used: `[H, W]` bool, where it replaces the median. unknown: `[H, W]` bool, the part
    of it that the shadow always darkens.
    """

    picture: Picture
    used: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def grown(mask: NDArray[np.uint8], radius_px: float) -> NDArray[np.uint8]:
    """The mask, `[H, W]` uint8, grown by a disc of this radius in pixels."""
    side_px = 2 * max(1, round(radius_px)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side_px, side_px))
    return np.asarray(cv2.dilate(mask, disc), np.uint8)


def near(there_HW: NDArray[np.bool_], radius_px: float) -> NDArray[np.bool_]:
    """Where one of these pixels, `[H, W]` bool, lies within this distance; as `grown`, at a time free of the radius."""
    if not there_HW.any():
        return np.zeros_like(there_HW)
    distance_px_HW = cv2.distanceTransform((~there_HW).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    return np.asarray(distance_px_HW <= max(1, round(radius_px)) + 0.5)


def person_margin_px(height_px: int) -> float:
    """The distance to grow a mask so that it certainly covers the person, in a picture of this height."""
    return max(2.0, height_px / 60)


def fit_plate(
    pictures: Sequence[Picture],
    masks: Sequence[NDArray[np.uint8]],
    shown: Sequence[NDArray[np.uint8] | None] | None = None,
    *,
    relit: Relit | None = None,
) -> Plate:
    """Compute the plate: the median over `N` pictures of the pixels that are not the person; the rest is filled in.

    Among the pictures that show a pixel, those count in which the person is farthest away, so that neither a shadow nor
    a soft outline leaves a ghost.

    pictures: `[H, W, 3]` uint8 RGB of one size, from a camera that stands still. masks: `[H, W]` uint8, 255 on the
    person.
    shown: `[H, W]` uint8 each, 0 where the picture shows nothing; None for a picture, or for all, that is whole.
    relit: the place without the person's shadow, for pixels that the masks hide because of it.
    Raises ValueError for no pictures, or another number of masks. Pictures are read band by band and masks one by one,
    so both may be on disk; beyond them it takes N * H * W / 4 bytes of memory, and about N * 500 * W for each thread.
    """
    if not pictures or len(pictures) != len(masks):
        raise ValueError(
            f"a plate takes as many masks as pictures, got {len(pictures)} pictures and {len(masks)} masks"
        )
    height_px, width_px = pictures[0].shape[:2]
    packed_NHW8 = np.empty((len(masks), height_px, -(-width_px // 8)), np.uint8)
    near_NHW8 = np.empty_like(packed_NHW8)
    distances_Nhw = np.empty((len(masks), -(-height_px // _BLOCK_PX), -(-width_px // _BLOCK_PX)), np.uint8)
    for index, mask in enumerate(masks):
        hidden_HW = near(mask >= PERSON_FROM, person_margin_px(height_px))
        distances_Nhw[index] = _block_distances(hidden_HW)
        gone_HW = None if shown is None else shown[index]
        if gone_HW is not None:
            hidden_HW |= gone_HW == 0
            distances_Nhw[index][_any_in_block(gone_HW == 0)] = 0
        packed_NHW8[index] = np.packbits(hidden_HW, axis=1)
    for index, near_HW in enumerate(_too_near(distances_Nhw, width_px, height_px)):
        near_NHW8[index] = np.packbits(near_HW, axis=1)
    plate = np.empty((height_px, width_px, 3), np.uint8)
    never_HW = np.empty((height_px, width_px), bool)
    fewest = 1 + len(masks) // _PICTURES_PER_SIGHT

    def fit_band(top: int) -> None:
        rows = slice(top, top + _BAND_ROWS)
        hidden_NHW = np.unpackbits(packed_NHW8[:, rows], axis=2, count=width_px).astype(bool)
        never_HW[rows] = (~hidden_NHW).sum(axis=0) < fewest
        near_NHW = np.unpackbits(near_NHW8[:, rows], axis=2, count=width_px).astype(bool)
        near_NHW &= ~(hidden_NHW | near_NHW).all(axis=0)  # better a near one than none
        hidden_NHW |= near_NHW
        band_NHW3 = np.stack([picture[rows] for picture in pictures]).astype(np.int16)
        band_NHW3[hidden_NHW] = 256  # beyond all colours
        band_NHW3.sort(axis=0)
        # Hidden values sort after all colours, so the median of the others is in the middle of the first part.
        middle_HW = np.maximum((~hidden_NHW).sum(axis=0) - 1, 0) // 2
        plate[rows] = np.take_along_axis(band_NHW3, middle_HW[None, ..., None], axis=0)[0].clip(0, 255)

    for _ in in_parallel(fit_band, range(0, height_px, _BAND_ROWS)):
        pass
    if relit is not None:
        plate[relit.used] = relit.picture[relit.used]
        never_HW = (never_HW & ~relit.used) | relit.unknown
    if not never_HW.all():
        plate = fill_holes(plate, never_HW)
    return Plate(plate, float(never_HW.mean()))


def _block_distances(hidden_HW: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`[h, w]` uint8: distance of every block from the person, 0 on the person, 255 from `_SHADOW_REACH` on."""
    blocks = _any_in_block(hidden_HW)
    if not blocks.any():
        return np.full(blocks.shape, 255, np.uint8)
    far = cv2.distanceTransform((~blocks).astype(np.uint8), cv2.DIST_L2, 3)
    return np.asarray((far * (255 / (_SHADOW_REACH * blocks.shape[0]))).clip(0, 255), np.uint8)


def _any_in_block(hidden_HW: NDArray[np.bool_]) -> NDArray[np.bool_]:
    height_px, width_px = hidden_HW.shape
    padded = np.pad(hidden_HW, ((0, -height_px % _BLOCK_PX), (0, -width_px % _BLOCK_PX)))
    blocks = padded.reshape(padded.shape[0] // _BLOCK_PX, _BLOCK_PX, padded.shape[1] // _BLOCK_PX, _BLOCK_PX)
    return np.asarray(blocks.any(axis=(1, 3)))


def _too_near(distances_Nhw: NDArray[np.uint8], width_px: int, height_px: int) -> Iterator[NDArray[np.bool_]]:
    """For each picture `[H, W]` bool: where the person is nearer than in a third of the others, without steps."""
    whole = (distances_Nhw.shape[2] * _BLOCK_PX, distances_Nhw.shape[1] * _BLOCK_PX)
    limit_HW = cv2.resize(_far_enough(distances_Nhw), whole, interpolation=cv2.INTER_LINEAR)
    for distance_hw in distances_Nhw:
        distance_HW = cv2.resize(distance_hw, whole, interpolation=cv2.INTER_LINEAR)
        yield np.asarray(distance_HW < limit_HW)[:height_px, :width_px]


def _far_enough(distances_Nhw: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`[h, w]`: the distance that a third of the pictures which show the block, but at least a few, reach."""
    shown_hw = (distances_Nhw > 0).sum(axis=0)
    wanted_hw = np.minimum(np.maximum(-(-shown_hw // 3), _FEWEST_FAR), shown_hw)
    nearest_first_Nhw = np.sort(distances_Nhw, axis=0)
    at_hw = np.minimum(len(distances_Nhw) - wanted_hw, len(distances_Nhw) - 1)
    return np.asarray(np.take_along_axis(nearest_first_Nhw, at_hw[None], axis=0)[0])


@dataclass(frozen=True, slots=True, eq=False)
class Beside:
    """The pixels that are neither the person, grown by a margin, nor the plate; `[H, W]` bool each.

    props: a ball, a passer-by. shadows: the plate, only darker. A grey object in front of a grey place looks like a
    shadow.
    """

    props: NDArray[np.bool_]
    shadows: NDArray[np.bool_]


def beside_person(picture: Picture, plate: Picture, mask: NDArray[np.uint8]) -> Beside:
    """Find props and shadows. picture, plate: `[H, W, 3]` uint8 RGB. mask: `[H, W]` uint8, 255 on the person."""
    height_px, width_px = picture.shape[:2]
    if height_px > _MOST_SEARCHED_ROWS:
        # Props are larger than a pixel, and the time grows with the area and the margins.
        size = (round(width_px * _MOST_SEARCHED_ROWS / height_px), _MOST_SEARCHED_ROWS)
        small = beside_person(resized(picture, *size), resized(plate, *size), resized(mask, *size))
        return Beside(*(_enlarged(kind, width_px, height_px) for kind in (small.props, small.shadows)))
    differs = cv2.absdiff(picture, plate).max(axis=2) > _PROP_DIFFERENCE
    near_person = grown(mask, person_margin_px(height_px)) >= PERSON_FROM
    darker = _darker_plate(picture, plate)
    found = []
    for kind in (differs & ~darker, differs & darker):
        candidates = (kind & ~near_person).astype(np.uint8)
        # Single pixels are camera noise at edges of the place.
        solid = np.asarray(cv2.morphologyEx(candidates, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
        found.append(np.asarray(grown(solid, height_px / 120) > 0) & ~near_person)
    return Beside(*found)


def _enlarged(found: NDArray[np.bool_], width_px: int, height_px: int) -> NDArray[np.bool_]:
    return cv2.resize(found.astype(np.uint8), (width_px, height_px), interpolation=cv2.INTER_NEAREST) > 0


def uncertain(props: NDArray[np.bool_], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`[H, W]` uint8, 255 where there is or may be a prop: the props found, and from there up to the person's mask.

    props: `[H, W]` bool, from `beside_person`, which does not search close to the person.
    """
    reach_px = person_margin_px(props.shape[0]) + 1
    return np.where((grown(props.astype(np.uint8), reach_px) > 0) & (mask < PERSON_FROM), 255, 0).astype(np.uint8)


def _darker_plate(picture: Picture, plate: Picture) -> NDArray[np.bool_]:
    """Where the picture is the plate times a number below 1: less light, but the place's colours."""
    picture_HW3, plate_HW3 = picture.astype(np.float32), plate.astype(np.float32)
    light_HW = picture_HW3.sum(axis=2) / np.maximum(plate_HW3.sum(axis=2), 1)
    off_colour_HW = np.abs(picture_HW3 - light_HW[..., None] * plate_HW3).max(axis=2)
    return np.asarray((light_HW > _DARKEST_SHADOW) & (light_HW < 1) & (off_colour_HW <= _SHADOW_OFF_COLOUR))
