"""The plate, which is the actor's place without the actor, and what in a frame is neither actor nor plate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture

Mask = NDArray[np.uint8]
"""`[H, W]` uint8, 255 on the person, soft at the outline."""

PERSON_FROM: Final = 38
"""Of 255: a mask value this low still counts as the person, so that the plate keeps no ghost."""

_BAND_ROWS: Final = 48
_PROP_DIFFERENCE: Final = 36
"""Of 255, in the colour channel that differs most: more than camera noise or a soft shadow."""

_DARKEST_SHADOW: Final = 0.25
"""As a fraction of the place's light; less is a dark object. Other lamps and the sky light every shadow."""
_SHADOW_OFF_COLOUR: Final = 14
"""Of 255: how much a shadow's colour may differ from the place's at the same light; compression causes this much."""


@dataclass(frozen=True, slots=True)
class Plate:
    """picture: `[H, W, 3]` uint8 RGB. never_seen: the fraction of pixels that the person always hid (filled in)."""

    picture: Picture
    never_seen: float


def grown(mask: NDArray[np.uint8], radius_px: float) -> NDArray[np.uint8]:
    """The mask, `[H, W]` uint8, grown by a disc of this radius in pixels."""
    side_px = 2 * max(1, round(radius_px)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side_px, side_px))
    return np.asarray(cv2.dilate(mask, disc), np.uint8)


def person_margin_px(height_px: int) -> float:
    """The distance to grow a mask so that it certainly covers the person, in a picture of this height."""
    return max(2.0, height_px / 60)


def fit_plate(pictures: Sequence[Picture], masks: Sequence[NDArray[np.uint8]]) -> Plate:
    """Compute the plate: the median over `N` pictures of the pixels that are not the person; the rest is filled in.

    pictures: `[H, W, 3]` uint8 RGB of one size. masks: `[H, W]` uint8, 255 on the person. The camera must be static.
    Raises ValueError for no pictures, or another number of masks. Pictures are read band by band and masks one by one,
    so both may be on disk; beyond them it takes N * H * W / 8 bytes of memory.
    """
    if not pictures or len(pictures) != len(masks):
        raise ValueError(
            f"a plate takes as many masks as pictures, got {len(pictures)} pictures and {len(masks)} masks"
        )
    height_px, width_px = pictures[0].shape[:2]
    seen_HW = np.zeros((height_px, width_px), np.int32)
    packed_NHW8 = np.empty((len(masks), height_px, -(-width_px // 8)), np.uint8)
    for index, mask in enumerate(masks):
        hidden_HW = grown(mask, person_margin_px(height_px)) >= PERSON_FROM
        seen_HW += ~hidden_HW
        packed_NHW8[index] = np.packbits(hidden_HW, axis=1)
    plate = np.empty((height_px, width_px, 3), np.uint8)
    beyond_colours = 256
    for top in range(0, height_px, _BAND_ROWS):
        rows = slice(top, top + _BAND_ROWS)
        band_NHW3 = np.stack([picture[rows] for picture in pictures]).astype(np.int16)
        hidden_NHW = np.unpackbits(packed_NHW8[:, rows], axis=2, count=width_px).astype(bool)
        band_NHW3[hidden_NHW] = beyond_colours
        band_NHW3.sort(axis=0)
        # Hidden values sort after all colours, so the median of the others is in the middle of the first part.
        middle_HW = np.maximum(seen_HW[rows] - 1, 0) // 2
        plate[rows] = np.take_along_axis(band_NHW3, middle_HW[None, ..., None], axis=0)[0].clip(0, 255)
    never_HW = seen_HW == 0
    if never_HW.any() and not never_HW.all():
        filled = cv2.inpaint(plate, never_HW.astype(np.uint8), max(3.0, height_px / 100), cv2.INPAINT_TELEA)
        plate = np.asarray(filled, np.uint8)
    return Plate(plate, float(never_HW.mean()))


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
    height_px = picture.shape[0]
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
