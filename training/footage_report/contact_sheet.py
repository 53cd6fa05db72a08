"""The contact sheet of a wardrobe: the person from each side, and pieces of every limb."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.crop import resized
from motion.frame import Picture
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.limbs import Limb
from motion.wardrobe.make import most_different
from motion.wardrobe.pieces import FACINGS, Wardrobe, facing_of
from motion.wardrobe.placing import Floats

_PERSON_HEIGHT_PX: Final = 280
_TILE_PX: Final = 84
_MOST_TILES: Final = 10
_PAPER: Final = 228
"""The grey level beneath the pieces."""


_SIDES: Final = {"front": "front", "left": "left side", "right": "right side", "back": "back"}


@dataclass(frozen=True, slots=True, eq=False)
class LimbPieces:
    """The most different pieces of a limb in one row, `[H, W, 3]` uint8; key_frames: how many show the limb."""

    limb: Limb
    key_frames: int
    picture: Picture | None


@dataclass(frozen=True, slots=True, eq=False)
class ContactSheet:
    """What a wardrobe holds.

    facings: the person, `[H, W, 3]` uint8, by the side that the camera sees; None for a side that no key frame shows.
    """

    key_frames: int
    memory_bytes: int
    facings: dict[str, Picture | None]
    limbs: list[LimbPieces]


def seen_from(facings: Sequence[str], joined: str = "and") -> str:
    """Return facings in words: "front, left side and back". Raises ValueError without any."""
    if not facings:
        raise ValueError("expected at least one facing")
    *before, last = (_SIDES[facing] for facing in facings)
    return f"{', '.join(before)} {joined} {last}" if before else last


def contact_sheet(wardrobe: Wardrobe) -> ContactSheet:
    """Draw the sheet of a wardrobe."""
    facings = {facing: _person(wardrobe, facing) for facing in FACINGS}
    limbs = [_pieces(wardrobe, limb) for limb in Limb]
    return ContactSheet(wardrobe.key_frames, wardrobe.memory_bytes, facings, limbs)


def _person(wardrobe: Wardrobe, facing: str) -> Picture | None:
    """The person of the key frame that shows a facing with the fewest hidden limbs, drawn from that key frame alone."""
    bodies, whole = wardrobe.bodies, wardrobe.has[:, Limb.TORSO]
    shown = [k for k, body in enumerate(bodies) if whole[k] and facing_of(body) == facing]
    if not shown:
        return None
    shoulders = np.abs(wardrobe.facing[shown, 0])
    # A profile is best at its narrowest, the front and the back at their widest.
    turned = shoulders if facing in ("left", "right") else -shoulders
    hidden = np.where(wardrobe.has[shown][:, : len(Limb)], wardrobe.hidden[shown], 1).mean(axis=1)
    flawed = wardrobe.flaws[shown][:, : len(Limb)].mean(axis=1)
    best = shown[int((turned + 2 * hidden + 2 * flawed).argmin())]
    allowed = np.arange(wardrobe.key_frames) == best
    drawn = draw_reference(wardrobe, wardrobe.poses[best], allowed=allowed).picture
    rows, columns = np.flatnonzero(drawn[..., 3].any(axis=1)), np.flatnonzero(drawn[..., 3].any(axis=0))
    if len(rows) == 0:
        return None
    person = _on_paper(drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    height_px, width_px = person.shape[:2]
    return resized(person, max(1, round(width_px * _PERSON_HEIGHT_PX / height_px)), _PERSON_HEIGHT_PX)


def _pieces(wardrobe: Wardrobe, limb: Limb) -> LimbPieces:
    shown = np.flatnonzero(wardrobe.has[:, limb])
    if len(shown) == 0:
        return LimbPieces(limb, 0, None)
    features: Floats = np.stack([wardrobe.bodies[k].feature(limb) for k in shown])
    chosen = shown[most_different(features, _MOST_TILES)]
    pieces = [piece for k in chosen.tolist() if (piece := wardrobe.piece(k, limb)) is not None]
    largest_px = max(max(piece.shape[:2]) for piece in pieces)
    row = np.hstack([_tile(piece, _TILE_PX / largest_px) for piece in pieces])
    return LimbPieces(limb, len(shown), row)


def _tile(piece: NDArray[np.uint8], scale: float) -> Picture:
    """A piece in the middle of a square of `_TILE_PX`, on paper."""
    picture = _on_paper(piece)
    height_px, width_px = (min(_TILE_PX, max(1, round(side * scale))) for side in picture.shape[:2])
    small = resized(picture, width_px, height_px)
    top, left = (_TILE_PX - height_px) // 2, (_TILE_PX - width_px) // 2
    bottom, right = _TILE_PX - height_px - top, _TILE_PX - width_px - left
    grey = (_PAPER, _PAPER, _PAPER)
    return np.asarray(cv2.copyMakeBorder(small, top, bottom, left, right, cv2.BORDER_CONSTANT, value=grey), np.uint8)


def _on_paper(premultiplied: NDArray[np.uint8]) -> Picture:
    uncovered = 255 - premultiplied[..., 3:].astype(np.uint16)
    return np.asarray(premultiplied[..., :3] + (_PAPER * uncovered + 127) // 255, np.uint8)
