"""The person's shadow in training: a part of the pictures that the network should draw, and no part of the plate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.floor_shadow import Shadow, draw_shadow, fit_shadow
from motion.frame import Picture
from motion.pose import Pose
from training.data.lazy import Lazy
from training.data.plate import PERSON_FROM, Mask, Plate, Relit, fit_plate, near, person_margin_px

_SHADED: Final = 4
"""Of 255: a shadow of at least this opacity, and its edge beyond, is seen."""

_EDGE: Final = 1 / 40
"""Room for what the fitted shadow misses, as a fraction of the picture's height."""

_LONGER: Final = 1.25

_BAND_ROWS: Final = 48
_FEWEST_SIGHTS: Final = 3
_OFTEN: Final = 0.25
"""Where the shadow may lie in more than this fraction of the pictures, the median may keep it."""
_BRIGHT: Final = 4
"""The brightest of so many pictures show a pixel with the least shadow."""
_BRIGHTER_THAN_THE_PLACE: Final = 20
"""One of so many pictures may be brighter than the place: something white was thrown across it."""
_DARKEST: Final = 0.7
_ALWAYS_DARK: Final = 0.06
"""Where the shadow's opacity is more than this in the brightest pictures too, the fitted one is not exact enough."""
_DARK_EDGE: Final = 1 / 200
"""As a fraction of the picture's height."""


def covered_with_shadow(shadow: Shadow, mask: Mask, pose: Pose) -> tuple[Mask, Mask]:
    """How much the person and the shadow cover of a picture, and the whole area that the shadow may touch.

    mask: `[H, W]` uint8, 255 on the person. pose: in its pixels. Both returned are `[H, W]` uint8, the second 0 or 255.
    """
    shade = draw_shadow(shadow, mask, pose)
    beside = cv2.multiply(shade, cv2.bitwise_not(mask), scale=1 / 255)
    touched = near(shade >= _SHADED, mask.shape[0] * _EDGE)
    return np.asarray(cv2.add(mask, beside), np.uint8), np.where(touched, np.uint8(255), np.uint8(0))


def plate_without_shadow(
    pictures: Sequence[Picture],
    masks: Sequence[Mask],
    poses: Sequence[Pose | None],
    shown: Sequence[Mask | None] | None = None,
) -> Plate:
    """As `fit_plate`, without the person's shadow, which the median keeps where it hardly moves.

    pictures: `[H, W, 3]` uint8 RGB of a camera that stands still. masks: `[H, W]` uint8, 255 on the person. poses: in
    their pixels. shown: `[H, W]` uint8 each, 0 where the picture shows nothing.
    """
    found = [Pose.nothing_seen() if pose is None else pose for pose in poses]
    shadow = fit_shadow(pictures, masks, found)
    if shadow is None:
        return fit_plate(pictures, masks, shown)

    # A near lamp throws the upper body's shadow farther than the fitted one.
    longer = replace(shadow, lean=_LONGER * shadow.lean, rise=_LONGER * shadow.rise)

    def touched(index: int) -> Mask:
        mask = np.asarray(masks[index])
        areas = [covered_with_shadow(each, mask, found[index])[1] for each in (shadow, longer)]
        return np.asarray(np.maximum(*areas), np.uint8)

    def hidden(index: int) -> NDArray[np.bool_]:
        mask = np.asarray(masks[index])
        by_person = near(mask >= PERSON_FROM, person_margin_px(mask.shape[0]))
        gone = None if shown is None else shown[index]
        return by_person if gone is None else by_person | (gone == 0)

    relit = _relit(pictures, Lazy(len(masks), hidden), Lazy(len(masks), touched), lambda index: draw_shadow(
        shadow, np.asarray(masks[index]), found[index]
    ))  # fmt: skip
    covered = Lazy(len(masks), lambda index: np.maximum(masks[index], touched(index)))
    return fit_plate(pictures, covered, shown, relit=relit)


def _relit(
    pictures: Sequence[Picture],
    hidden: Sequence[NDArray[np.bool_]],
    touched: Sequence[Mask],
    shade_of: Callable[[int], Mask],
) -> Relit | None:
    """The place where the shadow often lies, from the bright pictures of each pixel, divided by the shadow's light."""
    whole = pictures[0].shape
    seen_HW, shaded_HW = np.zeros(whole[:2], np.int32), np.zeros(whole[:2], np.int32)
    for hidden_HW, touched_HW in zip(hidden, touched, strict=True):
        seen_HW += ~hidden_HW
        shaded_HW += ~hidden_HW & (touched_HW > 0)
    used_HW = (shaded_HW > _OFTEN * seen_HW) & (seen_HW >= _FEWEST_SIGHTS)
    if not used_HW.any():
        return None
    rows, columns = (np.flatnonzero(used_HW.any(axis=axis)) for axis in (1, 0))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    shades_Nhw = np.stack([shade_of(index)[part] for index in range(len(pictures))])
    hidden_Nhw = np.stack([hidden_HW[part] for hidden_HW in hidden])
    picture_HW3, shade_HW = np.zeros(whole, np.uint8), np.zeros(whole[:2], np.float32)
    for top in range(part[0].start, part[0].stop, _BAND_ROWS):
        band = slice(top, min(top + _BAND_ROWS, part[0].stop)), part[1]
        inside = slice(band[0].start - part[0].start, band[0].stop - part[0].start)
        films_Nhw3 = np.stack([picture[band] for picture in pictures])
        picture_HW3[band], shade_HW[band] = _brightest(films_Nhw3, shades_Nhw[:, inside], hidden_Nhw[:, inside])
    unknown_HW = used_HW & near(used_HW & (shade_HW > _ALWAYS_DARK), _DARK_EDGE * whole[0])
    return Relit(picture_HW3, used_HW, unknown_HW)


def _brightest(
    films_Nhw3: NDArray[np.uint8], shades_Nhw: Mask, hidden_Nhw: NDArray[np.bool_]
) -> tuple[Picture, NDArray[np.float32]]:
    """The mean of each pixel's bright pictures without their shadow, `[h, w, 3]`, and the shadow's mean opacity."""
    # Blurred, so that noise is not taken for light.
    light_Nhw = np.stack([cv2.blur(film.sum(axis=2, dtype=np.float32), (5, 5)) for film in films_Nhw3])
    light_Nhw[hidden_Nhw] = -1
    brightest_first_Nhw = np.argsort(-light_Nhw, axis=0, kind="stable")
    seen_hw = (~hidden_Nhw).sum(axis=0)
    first_hw, last_hw = seen_hw // _BRIGHTER_THAN_THE_PLACE, np.maximum(seen_hw // _BRIGHT, _FEWEST_SIGHTS)
    sums_hw3, shade_hw = np.zeros(films_Nhw3.shape[1:], np.float32), np.zeros(seen_hw.shape, np.float32)
    for rank, at_hw in enumerate(brightest_first_Nhw[: last_hw.max()]):
        taken_hw = (rank >= first_hw) & (rank < last_hw)
        shade = np.take_along_axis(shades_Nhw, at_hw[None], axis=0)[0].astype(np.float32) / 255
        film = np.take_along_axis(films_Nhw3, at_hw[None, ..., None], axis=0)[0]
        sums_hw3 += np.where(taken_hw[..., None], film / (1 - np.minimum(shade, _DARKEST))[..., None], 0)
        shade_hw += np.where(taken_hw, shade, 0)
    count_hw = np.maximum(last_hw - first_hw, 1)
    return np.rint(np.minimum(sums_hw3 / count_hw[..., None], 255)).astype(np.uint8), shade_hw / count_hw
