"""Making a wardrobe from the frames of the footage."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.floor_shadow import fit_shadow
from motion.frame import Picture
from motion.pose import Pose
from motion.wardrobe.colours import colour_costs, costs_of
from motion.wardrobe.consensus import agreements
from motion.wardrobe.cutting import Box, Cut, Weights, cut_limbs, find_regions, sample_colours
from motion.wardrobe.hand_frames import cut_hands, frames_for_hands
from motion.wardrobe.limbs import LAYER_COUNT, LIMB_COUNT, UNDER_LAYERS, Limb
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.placing import Floats, PlacedBody, measure_limbs, place

MOST_KEY_FRAMES: Final = 64
MOST_HANDS: Final = 32
"""Further key frames for each hand."""

_FRAMES_FOR_COLOURS: Final = 24
_FAINT: Final = 0.02
"""Pixels covered less than this are left out of a piece's rectangle."""
_SMALLEST_ISLAND: Final = 0.2
"""Parts of a piece with a smaller share of the largest part's area are removed."""
_JOINED: Final = 0.5
_BRIDGE: Final = 0.02
"""Parts joined by a strip thinner than twice the second, in torso lengths, of pixels covered this much, are apart."""
_TORSO_LAYERS: Final = (Limb.TORSO, LIMB_COUNT + UNDER_LAYERS.index(Limb.TORSO))
_THIGH_LAYERS: Final = {
    layer: limb
    for limb in (Limb.RIGHT_THIGH, Limb.LEFT_THIGH)
    for layer in (int(limb), LIMB_COUNT + UNDER_LAYERS.index(limb))
}
_WRONG_FROM, _WRONG_TO = 0.3, 0.6
"""Costs of a colour between which a thigh's pixel, such as one of a hem, is painted with the colours around it."""
_REACH_OF_PAINT: Final = 0.08
"""How far around these colours are taken from, in torso lengths (standard deviation)."""
_LEAST_PAINT: Final = 0.001
"""With a smaller share of right pixels around it, a pixel keeps its colour."""
_FEWEST_PIXELS: Final = 6
_PAINTED_LEVELS: Final = 12
"""A picture that differs by more from the filmed one was painted over there."""
_PAINTED_TORSO_WEIGHT: Final = 5
"""A ball before the shirt covers a small part of it, but is seen at once."""
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
    most_hands: int = MOST_HANDS,
    on_progress: Callable[[int, int], None] = lambda done, of: None,
) -> Wardrobe:
    """Make a wardrobe from frames of the footage.

    At most `most_key_frames` of them become key frames, and at most `most_hands` further ones for each hand alone.

    pictures: `[H, W, 3]` uint8 RGB, the actor's crop with props painted over. masks: `[H, W]` uint8, 255 on the person.
    poses: in pixels of the crop. frames: numbers of the frames in the footage, ascending. filmed: the pictures before
    painting, so that painted limbs are avoided. on_progress: called with the number of key frames cut, and of all.

    Raises ValueError if no frame shows a limb that can be cut.
    """
    lengths_px = measure_limbs(poses)
    bodies = [place(pose, lengths_px) for pose in poses]
    whole = most_different(_described(bodies), most_key_frames)
    chosen = np.sort(np.concatenate([whole, frames_for_hands(bodies, whole, most_hands)]))
    seen = [(np.ascontiguousarray(pictures[index]), bodies[index], masks[index]) for index in whole]
    costs = _usual_colours(seen)
    shown: list[tuple[Picture, PlacedBody, dict[Limb, Cut]]] = []
    for done, index in enumerate(chosen.tolist()):
        on_progress(done, len(chosen))
        picture, mask, body = np.ascontiguousarray(pictures[index]), np.asarray(masks[index]), bodies[index]
        if index in whole:
            regions = find_regions(body, mask)
            cuts = {} if regions is None else cut_limbs(regions, costs_of(picture[regions.person.slices], costs))
        else:
            cuts = cut_hands(picture, mask, body, lengths_px, costs)
        shown.append((picture, body, cuts))
    on_progress(len(chosen), len(chosen))
    corners_px, pixels, hidden, flaws = _pieces_of(
        shown, costs, None if filmed is None else [filmed[i] for i in chosen]
    )
    if not len(pixels):
        raise ValueError("no frame shows a limb inside the person's mask: expected frames with the person in the crop")
    height_px, width_px = pictures[0].shape[:2]
    return Wardrobe(
        width_px=width_px,
        height_px=height_px,
        frames=np.array(frames, np.int64)[chosen],
        poses=tuple(poses[index] for index in chosen),
        limb_lengths_px=lengths_px,
        corners_px=corners_px,
        pixels=pixels,
        hidden=hidden,
        flaws=flaws,
        shadow=fit_shadow(pictures if filmed is None else filmed, masks, poses),
    )


def _pieces_of(
    shown: Sequence[tuple[Picture, PlacedBody, dict[Limb, Cut]]],
    costs: NDArray[np.float32],
    filmed: Sequence[Picture] | None,
) -> tuple[NDArray[np.int32], NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """Return the wardrobe's corners, pixels, hidden shares and flaws of the key frames."""
    agreed = [agreements(limb, shown) for limb in Limb]
    hidden = np.ones((len(shown), LIMB_COUNT), np.float32)
    flaws = np.zeros((len(shown), LIMB_COUNT))
    sharpness = np.full((len(shown), LIMB_COUNT), np.nan)
    corners_px = np.zeros((len(shown), LAYER_COUNT, 4), np.int32)
    pixels: list[NDArray[np.uint8]] = []
    for row, (picture, body, cuts) in enumerate(shown):
        painted = None
        if filmed is not None:
            painted = cv2.absdiff(picture, np.ascontiguousarray(filmed[row])).max(axis=2) > _PAINTED_LEVELS
        layers: dict[int, tuple[Box, Weights]] = {}
        for limb, cut in cuts.items():
            weights, agreement = cut.weights, agreed[limb][row]
            whole = max(float(weights.sum()), 1e-6)
            if agreement is not None:
                weights = weights * agreement
                flaws[row, limb] += 1 - float(weights.sum()) / whole
            if painted is not None:
                share = float((cut.weights * painted[cut.box.slices]).sum()) / whole
                flaws[row, limb] += share * (_PAINTED_TORSO_WEIGHT if limb is Limb.TORSO else 1)
            hidden[row, limb] = cut.hidden
            sharpness[row, limb] = _sharpness(picture[cut.box.slices], weights)
            layers[limb] = cut.box, weights
            if cut.inner is not None:
                layers[LIMB_COUNT + UNDER_LAYERS.index(limb)] = cut.box, cut.inner
        for layer in sorted(layers):
            box, weights = layers[layer]
            weights = _without_islands(weights, _FAINT)
            if layer in _TORSO_LAYERS:  # the ends of other limbs may hang by a faint stripe of a sleeve, and are missed
                weights = _without_islands(weights, _JOINED, _BRIDGE * body.scale_px)
            coloured = picture[box.slices]
            if layer in _THIGH_LAYERS:
                wrong = costs_of(coloured, costs)[_THIGH_LAYERS[layer]]
                coloured = _repainted(coloured, weights, wrong, _REACH_OF_PAINT * body.scale_px)
            corners_px[row, layer], piece = _piece(coloured, box, weights)
            pixels.append(piece)
    flaws += _BLUR_WEIGHT * _blur(sharpness)
    # Sums of float32 depend on how memory is aligned, in the last digit.
    all_pixels = np.concatenate([np.zeros((0, 4), np.uint8), *pixels])
    return corners_px, all_pixels, hidden.round(3), flaws.round(3).astype(np.float32)


def most_different(features: Floats, count: int) -> NDArray[np.int64]:
    """Choose up to `count` rows of `[F, D]` that are far from each other, and return their indices, ascending.

    Begins with the most usual row, and always adds the row farthest from those chosen (Gonzalez 1985). Unknown features
    (NaN) count as 0.
    """
    rows = np.nan_to_num(features)
    chosen = [int(((rows - rows.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = ((rows - rows[chosen[0]]) ** 2).sum(axis=1)
    nearest[chosen] = -1
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


def _described(bodies: Sequence[PlacedBody]) -> NDArray[np.float64]:
    return np.stack([np.concatenate([body.features, body.facing]) for body in bodies])


def _repainted(pixels: Picture, weights: Weights, costs: Weights, reach_px: float) -> Picture:
    """Paint pixels of a wrong colour with the mean of the right ones around them, weighted by their distance.

    A thigh's piece reaches under the shirt. Legs that spread or bend uncover it: a hem there would be a second one.
    """
    wrong = cv2.dilate(np.clip((costs - _WRONG_FROM) / (_WRONG_TO - _WRONG_FROM), 0, 1), np.ones((3, 3), np.uint8))
    right = weights * (1 - wrong)
    around = cv2.GaussianBlur(right, (0, 0), reach_px)[..., None]
    mean = cv2.GaussianBlur(pixels * right[..., None], (0, 0), reach_px) / np.maximum(around, 1e-6)
    share = np.where(around > _LEAST_PAINT, wrong[..., None], 0)
    return np.asarray(np.rint(pixels + share * (mean - pixels)).clip(0, 255).astype(np.uint8))


def _piece(pixels: Picture, box: Box, weights: Weights) -> tuple[tuple[int, int, int, int], NDArray[np.uint8]]:
    """Return a piece's x, y, width and height, and its pixels, `[P, 4]`; nothing if it has too few."""
    rows, columns = np.nonzero(weights > _FAINT)
    if len(rows) < _FEWEST_PIXELS:
        return (0, 0, 0, 0), np.zeros((0, 4), np.uint8)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    covered = weights[top:bottom, left:right, None]
    coloured = pixels[top:bottom, left:right] * covered
    piece = np.rint(np.concatenate([coloured, covered * 255], axis=-1)).astype(np.uint8)
    return (box.left + left, box.top + top, right - left, bottom - top), piece.reshape(-1, 4)


def _without_islands(weights: Weights, least: float, bridge_px: float = 0) -> Weights:
    """Remove small parts that hang on the rest by a thin bridge or not at all: moved, they would float in the air.

    least: pixels covered less than this join nothing. bridge_px: half the width of a thin bridge.
    """
    side_px = 2 * round(bridge_px) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side_px, side_px))
    cores = cv2.erode((weights > least).astype(np.uint8), brush)
    count, parts, facts, _ = cv2.connectedComponentsWithStats(cores, connectivity=8)
    if count <= 2:  # the outside is a part too
        return weights
    large = facts[:, cv2.CC_STAT_AREA] >= _SMALLEST_ISLAND * facts[1:, cv2.CC_STAT_AREA].max()
    # Every pixel goes with the nearest core.
    _, nearest = cv2.distanceTransformWithLabels(1 - cores, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP)
    kept = np.zeros(int(nearest.max()) + 1, np.bool_)
    kept[nearest[cores > 0]] = large[parts[cores > 0]]
    return np.where(kept[nearest], weights, np.float32(0))


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
