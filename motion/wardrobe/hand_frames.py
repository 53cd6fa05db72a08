"""More frames for the hands alone: hands have many shapes, and are small enough to keep many of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose
from motion.wardrobe.colours import costs_of
from motion.wardrobe.cutting import Box, Cut, cut_limbs, find_regions
from motion.wardrobe.limbs import BONES, HANDS, Limb
from motion.wardrobe.placing import Floats, PlacedBody, place

_ROOM: Final = 3.0
"""How much of the picture around a hand is looked at when it is cut, in radii of the hand."""


def frames_for_hands(bodies: Sequence[PlacedBody], chosen: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Choose up to `most` further frames for each hand, of shapes far from those chosen, and return their indices.

    bodies: of all frames. chosen: the indices of the key frames. The indices returned are ascending and are new ones.
    """
    further: set[int] = set()
    for hand in HANDS:
        shapes = np.stack([body.feature(hand) for body in bodies])
        nearest = np.where(np.isfinite(shapes).all(axis=1), np.inf, -1.0)
        for index in chosen:
            nearest = np.fmin(nearest, ((shapes - shapes[index]) ** 2).sum(axis=1))
        for _ in range(most):
            farthest = int(nearest.argmax())
            if nearest[farthest] <= 0:
                break
            further.add(farthest)
            nearest = np.fmin(nearest, ((shapes - shapes[farthest]) ** 2).sum(axis=1))
    return np.array(sorted(further - set(chosen.tolist())), np.int64)


def cut_hands(
    picture: Picture, mask: NDArray[np.uint8], body: PlacedBody, limb_lengths_px: Floats, colours: NDArray[np.float32]
) -> dict[Limb, Cut]:
    """Cut the hands whose points were seen, as `cutting.cut_limbs` does, looking only at the picture around each.

    limb_lengths_px: as `measure_limbs` returns them. colours: as `colours.colour_costs` returns them.
    """
    cuts: dict[Limb, Cut] = {}
    for hand in HANDS:
        if not body.placed[hand] or np.isnan(body.feature(hand)[0]):
            continue
        window = _window(hand, body, picture.shape)
        if window.empty:
            continue
        here = Pose(body.pose.joints_px - np.array([window.left, window.top], np.float32), body.pose.confidence)
        regions = find_regions(place(here, limb_lengths_px), mask[window.slices])
        if regions is None or hand not in regions.boxes:
            continue
        pixels = picture[window.slices][regions.person.slices]
        cut = cut_limbs(regions, costs_of(pixels, colours)).get(hand)
        if cut is not None:
            box = cut.box
            at = Box(box.left + window.left, box.top + window.top, box.right + window.left, box.bottom + window.top)
            cuts[hand] = replace(cut, box=at)
    return cuts


def _window(hand: Limb, body: PlacedBody, shape: tuple[int, ...]) -> Box:
    """The pixels around a hand."""
    room_px = _ROOM * BONES[hand].radius * body.scale_px
    low, high = body.ends_px[hand].min(axis=0) - room_px, body.ends_px[hand].max(axis=0) + room_px
    left, top = (int(np.clip(value, 0, 1 << 20)) for value in low)
    right, bottom = (math.ceil(np.clip(value, -1, 1 << 20)) for value in high)
    return Box(left, top, min(right, shape[1]), min(bottom, shape[0]))
