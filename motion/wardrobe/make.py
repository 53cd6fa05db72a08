"""Making a wardrobe from the frames of the footage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import Picture
from motion.pose import Pose
from motion.wardrobe.colours import colour_costs, costs_of
from motion.wardrobe.consensus import agreements
from motion.wardrobe.cutting import Box, Cut, Weights, cut_limbs, find_regions, sample_colours
from motion.wardrobe.limbs import LAYER_COUNT, LIMB_COUNT, UNDER_LAYERS, Limb
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.placing import Floats, PlacedBody, measure_limbs, place

MOST_KEY_FRAMES: Final = 64

_FRAMES_FOR_COLOURS: Final = 24
_FAINT: Final = 0.02
"""Pixels covered less than this are left out of a piece's rectangle."""
_FEWEST_PIXELS: Final = 6
_PAINTED_LEVELS: Final = 12
"""A picture that differs by more from the filmed one was painted over there."""
_INSIDE: Final = 0.9
_SHARP_PERCENTILE: Final = 75
_BLUR_WEIGHT: Final = 0.5


def make_wardrobe(
    pictures: Sequence[Picture],
    masks: Sequence[NDArray[np.uint8]],
    poses: Sequence[Pose],
    frames: Sequence[int],
    *,
    filmed: Sequence[Picture] | None = None,
    most_key_frames: int = MOST_KEY_FRAMES,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Wardrobe:
    """Make a wardrobe from frames of the footage, of which at most `most_key_frames` become key frames.

    pictures: `[H, W, 3]` uint8 RGB, the actor's crop with props painted over. masks: `[H, W]` uint8, 255 on the person.
    poses: in pixels of the crop. frames: numbers of the frames in the footage, ascending. filmed: the pictures before
    painting, so that painted limbs are avoided. on_progress: called with the number of key frames cut, and of all.

    Raises ValueError if no frame shows a limb that can be cut.
    """
    bodies = _placed(poses)
    chosen = most_different(_described(bodies), most_key_frames)
    seen = [(np.ascontiguousarray(pictures[index]), bodies[index], masks[index]) for index in chosen]
    costs = _usual_colours(seen)
    shown: list[tuple[Picture, PlacedBody, dict[Limb, Cut]]] = []
    for done, (picture, body, mask) in enumerate(seen):
        on_progress(done, len(chosen))
        regions = find_regions(body, mask)
        cuts = {} if regions is None else cut_limbs(regions, costs_of(picture[regions.person.slices], costs))
        shown.append((picture, body, cuts))
    if not any(cuts for _, _, cuts in shown):
        raise ValueError("no frame shows a limb inside the person's mask: expected frames with the person in the crop")
    agreed = [agreements(limb, shown) for limb in Limb]
    hidden = np.ones((len(chosen), LIMB_COUNT), np.float32)
    flaws = np.zeros((len(chosen), LIMB_COUNT), np.float32)
    sharpness = np.full((len(chosen), LIMB_COUNT), np.nan)
    corners_px = np.zeros((len(chosen), LAYER_COUNT, 4), np.int32)
    pixels: list[NDArray[np.uint8]] = []
    for row, (picture, _, found) in enumerate(shown):
        changed = None
        if filmed is not None:
            changed = cv2.absdiff(picture, np.ascontiguousarray(filmed[chosen[row]])).max(axis=2) > _PAINTED_LEVELS
        layers: dict[int, tuple[Box, Weights]] = {}
        for limb, cut in found.items():
            hidden[row, limb] = cut.hidden
            weights, before = cut.weights, float(cut.weights.sum())
            agreement = agreed[limb][row]
            if agreement is not None:
                weights = weights * agreement
                flaws[row, limb] += 1 - float(weights.sum()) / max(before, 1e-6)
            if changed is not None and before > 0:
                flaws[row, limb] += float((cut.weights * changed[cut.box.slices]).sum()) / before
            sharpness[row, limb] = _sharpness(picture[cut.box.slices], weights)
            layers[limb] = cut.box, weights
            if cut.inner is not None:
                layers[LIMB_COUNT + UNDER_LAYERS.index(limb)] = cut.box, cut.inner
        for layer in range(LAYER_COUNT):
            if layer in layers:
                corners_px[row, layer], piece = _piece(picture, *layers[layer])
                pixels.append(piece)
    flaws += _BLUR_WEIGHT * _blur(sharpness)
    on_progress(len(chosen), len(chosen))
    height_px, width_px = pictures[0].shape[:2]
    return Wardrobe(
        width_px=width_px,
        height_px=height_px,
        frames=np.array(frames, np.int64)[chosen],
        poses=tuple(poses[index] for index in chosen),
        limb_lengths_px=measure_limbs(poses),
        corners_px=corners_px,
        pixels=np.concatenate(pixels),
        hidden=hidden,
        flaws=flaws.astype(np.float32),
    )


def most_different(features: Floats, count: int) -> NDArray[np.int64]:
    """Choose up to `count` rows of `[F, D]` that are far from each other, and return their indices, ascending.

    Begins with the most usual row, and always adds the row farthest from those chosen (Gonzalez 1985). Unknown features
    (NaN) count as 0.
    """
    rows = np.nan_to_num(features)
    chosen = [int(((rows - rows.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = ((rows - rows[chosen[0]]) ** 2).sum(axis=1)
    while len(chosen) < min(count, len(rows)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((rows - rows[chosen[-1]]) ** 2).sum(axis=1))
        nearest[chosen] = -1
    return np.array(sorted(chosen), np.int64)


def _usual_colours(seen: Sequence[tuple[Picture, PlacedBody, NDArray[np.uint8]]]) -> NDArray[np.float32]:
    """Learn the limbs' usual colours from frames spread over the key frames."""
    samples: list[tuple[Limb, NDArray[np.uint8]]] = []
    for picture, body, mask in seen[:: math.ceil(len(seen) / _FRAMES_FOR_COLOURS)]:
        regions = find_regions(body, mask)
        if regions is not None:
            samples.extend(sample_colours(regions, picture))
    return colour_costs(samples)


def _placed(poses: Sequence[Pose]) -> list[PlacedBody]:
    lengths_px = measure_limbs(poses)
    return [place(pose, lengths_px) for pose in poses]


def _described(bodies: Sequence[PlacedBody]) -> NDArray[np.float64]:
    return np.stack([np.concatenate([body.features, body.facing]) for body in bodies])


def _piece(picture: Picture, box: Box, weights: Weights) -> tuple[tuple[int, int, int, int], NDArray[np.uint8]]:
    """Return a piece's x, y, width and height, and its pixels, `[P, 4]`; nothing if it has too few."""
    rows, columns = np.nonzero(weights > _FAINT)
    if len(rows) < _FEWEST_PIXELS:
        return (0, 0, 0, 0), np.zeros((0, 4), np.uint8)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    covered = weights[top:bottom, left:right, None]
    coloured = picture[box.slices][top:bottom, left:right] * covered
    piece = np.rint(np.concatenate([coloured, covered * 255], axis=-1)).astype(np.uint8)
    return (box.left + left, box.top + top, right - left, bottom - top), piece.reshape(-1, 4)


def _sharpness(pixels: Picture, weights: Weights) -> float:
    """The mean gradient inside a limb, in levels a pixel; NaN for a limb of a few pixels."""
    inside = weights > _INSIDE
    if np.count_nonzero(inside) <= 8:
        return float("nan")
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(np.float32)
    gradient = cv2.magnitude(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return float(gradient[inside].mean())


def _blur(sharpness: NDArray[np.float64]) -> NDArray[np.float64]:
    """How blurred each limb is, in [0, 1], beside the limb's sharpest frames, `[K, LIMB_COUNT]`; 1 where unknown."""
    blur = np.ones(sharpness.shape)
    for column, values in enumerate(sharpness.T):
        if np.isfinite(values).any():
            sharp = max(float(np.nanpercentile(values, _SHARP_PERCENTILE)), 1e-6)
            blur[:, column] = 1 - np.clip(np.nan_to_num(values / sharp), 0, 1)
    return blur
