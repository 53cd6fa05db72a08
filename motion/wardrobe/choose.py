"""Choosing the key frame of each layer for an asked pose."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.wardrobe.hands import OTHER_HAND
from motion.wardrobe.limbs import FOREARMS, HANDS, LAYER_COUNT, NEIGHBOURS, UNDER_LAYERS, Limb
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.placing import FEATURE_COUNTS, FEATURE_STARTS, Floats, PlacedBody

NOTHING: Final = -1
"""Stands for the key frame of a layer that is not drawn."""

_UNKNOWN_DISTANCE: Final = 1.5
"""The distance of a key frame in which a limb was not seen as well as in the asked pose."""
_UNSEEN_HAND: Final = 0.3
_NEIGHBOURS, _FACING, _FLAWS = 0.2, 0.5, 0.6
_HIDDEN: Final = np.array([2.4 if limb is Limb.TORSO else 0.8 for limb in Limb])
"""A torso before which an arm hangs has a hole, which the under-layer fills with a visible seam."""
_UNDER_FEATURES, _UNDER_HIDDEN, _UNDER_FLAWS = 0.5, 2.0, 0.3
_MIRRORED: Final = 0.15
"""How much better the other hand, mirrored, must fit: the light falls on it from the wrong side."""
_STEADINESS: Final = 0.3
"""How much better another key frame must be than the one chosen before."""
_FORMAT: Final = struct.Struct(f"<B{LAYER_COUNT}h")


@dataclass(frozen=True, slots=True)
class Choice:
    """The key frame of each layer, as an index into the wardrobe's `K` key frames; `NOTHING` where there is none.

    For a hand, `K` plus an index stands for the other hand of that key frame, mirrored.

    The only state of drawing. It keeps the next choice steady, so it travels with the frame.
    """

    key_frames: tuple[int, ...]

    def to_bytes(self) -> bytes:
        """Return the choice in `CHOICE_BYTES` bytes."""
        return _FORMAT.pack(LAYER_COUNT, *self.key_frames)

    @classmethod
    def from_bytes(cls, data: bytes) -> Choice:
        """Read what `to_bytes` returned. Raises ValueError for anything else.

        An index may still be beyond the key frames of a wardrobe: drawing ignores those.
        """
        if len(data) != CHOICE_BYTES:
            raise ValueError(f"expected a choice of limbs in {CHOICE_BYTES} bytes, got {len(data)}")
        layers, *key_frames = _FORMAT.unpack(data)
        if layers != LAYER_COUNT or min(key_frames) < NOTHING:
            raise ValueError(f"expected a choice for {LAYER_COUNT} layers, got one for {layers} or a negative index")
        return cls(tuple(key_frames))


CHOICE_BYTES: Final = _FORMAT.size


def choose(
    wardrobe: Wardrobe,
    asked: PlacedBody,
    before: Choice | None = None,
    *,
    allowed: NDArray[np.bool_] | None = None,
    noise: Floats | None = None,
) -> Choice:
    """Choose a key frame for each layer of an asked pose.

    before: the choice for the frame before, kept unless another is clearly better. allowed: `[K]` bool, the key frames
    that may be used. noise: `[K, LIMB_COUNT]`, added to the costs.
    """
    distances = _distances(wardrobe, asked)
    facing = np.sqrt(((wardrobe.facing - asked.facing) ** 2).sum(axis=1))
    costs = distances + _NEIGHBOURS * (distances @ NEIGHBOURS) + _FACING * facing[:, None]
    costs += _HIDDEN * wardrobe.hidden + _FLAWS * wardrobe.flaws
    if noise is not None:
        costs = costs + noise
    under = list(UNDER_LAYERS)
    under_costs = facing[:, None] + _UNDER_FEATURES * distances[:, under]
    under_costs += _UNDER_HIDDEN * wardrobe.hidden[:, under] + _UNDER_FLAWS * wardrobe.flaws[:, under]
    costs = np.hstack([costs, under_costs])
    costs[~wardrobe.has] = np.inf
    if allowed is not None:
        costs[~allowed] = np.inf
    costs = np.vstack([costs, np.full_like(costs, np.inf)])
    for hand in HANDS:
        costs[wardrobe.key_frames :, hand] = _mirrored_costs(wardrobe, asked, hand, allowed, noise)
    if before is not None:
        for layer, key_frame in enumerate(before.key_frames):
            if 0 <= key_frame < len(costs):
                costs[key_frame, layer] -= _STEADINESS
    chosen = costs.argmin(axis=0)
    for hand in HANDS:
        if np.isnan(asked.feature(hand)[0]) and wardrobe.has[chosen[FOREARMS[hand]], hand]:
            chosen[hand] = chosen[FOREARMS[hand]]
    nothing = ~np.isfinite(costs[chosen, np.arange(LAYER_COUNT)])
    return Choice(tuple(np.where(nothing, NOTHING, chosen).tolist()))


def _mirrored_costs(
    wardrobe: Wardrobe, asked: PlacedBody, hand: Limb, allowed: NDArray[np.bool_] | None, noise: Floats | None
) -> Floats:
    """The cost of the other hand of each key frame, mirrored, `[K]`; infinite without the points of both."""
    other = OTHER_HAND[hand]
    costs = _MIRRORED + _FACING * np.sqrt(((wardrobe.mirrored_facing - asked.facing) ** 2).sum(axis=1))
    for limb, weight in ((hand, 1.0), (FOREARMS[hand], _NEIGHBOURS)):
        part = slice(FEATURE_STARTS[limb], FEATURE_STARTS[limb] + FEATURE_COUNTS[limb])
        squares = (wardrobe.mirrored_features[:, part] - asked.features[part]) ** 2
        costs += weight * np.sqrt(squares.sum(axis=1))
    costs += _HIDDEN[other] * wardrobe.hidden[:, other] + _FLAWS * wardrobe.flaws[:, other]
    if noise is not None:
        costs += noise[:, other]
    usable = np.isfinite(costs) if allowed is None else np.isfinite(costs) & allowed
    return np.asarray(np.where(usable, costs, np.inf))


def _distances(wardrobe: Wardrobe, asked: PlacedBody) -> Floats:
    """How different each limb looks in each key frame, `[K, LIMB_COUNT]`."""
    squares = (wardrobe.features - asked.features) ** 2
    distances = np.sqrt(np.add.reduceat(squares, FEATURE_STARTS, axis=1))
    for limb in np.flatnonzero(np.isnan(asked.features[FEATURE_STARTS])):
        known = ~np.isnan(wardrobe.features[:, FEATURE_STARTS[limb]])
        distances[:, limb] = _UNSEEN_HAND * ~known if limb in HANDS else 0
    distances[np.isnan(distances)] = _UNKNOWN_DISTANCE
    return np.asarray(distances)
