"""Drawing the reference: the chosen pieces, moved into the asked pose, one over the other."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.floor_shadow import lay_shadow_under
from motion.pose import Pose
from motion.wardrobe.choose import Choice, choose
from motion.wardrobe.hands import bend_hand
from motion.wardrobe.limbs import (
    HANDS,
    LEFT_ARM,
    LEFT_LEG,
    LIMB_COUNT,
    RIGHT_ARM,
    RIGHT_LEG,
    UNDER_LAYERS,
    Limb,
)
from motion.wardrobe.moving import move_limb, move_neck
from motion.wardrobe.pieces import PROFILE_SHOULDERS, Wardrobe
from motion.wardrobe.placing import Floats, PlacedBody, hand_points_of, place

_OUTLINE: Final = np.array([0.08, 0.84, 0.08], np.float32)
"""How each pixel near an outline is mixed from those beside it."""
_AROUND: Final = np.ones((3, 3), np.uint8)
_INSIDE: Final = 250
"""Pixels covered more than this, with all around them, are inside."""
_CHIN_ABOVE: Final = 0.06
"""The chin above the start of the head's line, in torso lengths."""
_RAISED_KNEE: Final = 0.30
"""A knee less than this far below its hip, in torso lengths, is before the torso."""


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """The actor's limbs in an asked pose, and their shadow on the floor.

    picture: `[H, W, 4]` uint8, RGB multiplied by the coverage, and the coverage. choice: where the limbs came from.
    """

    picture: NDArray[np.uint8]
    choice: Choice


def draw_reference(
    wardrobe: Wardrobe,
    pose: Pose,
    before: Choice | None = None,
    *,
    allowed: NDArray[np.bool_] | None = None,
    noise: Floats | None = None,
    left_out: Collection[Limb] = (),
) -> Reference:
    """Draw the actor's limbs in a pose, which is in pixels of the crop.

    before: the choice of the frame before, for a steady choice. For training: allowed, `[K]` bool, the key frames that
    may be used; noise, `[K, LIMB_COUNT]`, added to the costs of the choice; left_out, limbs that are not drawn.
    """
    asked = place(pose, wardrobe.limb_lengths_px)
    choice = choose(wardrobe, asked, before, allowed=allowed, noise=noise)
    picture = blank_reference(wardrobe.width_px, wardrobe.height_px)
    for limb in depth_order(asked):
        if limb in left_out:
            continue
        key_frame = choice.key_frames[limb]
        if limb is Limb.TORSO and Limb.HEAD not in left_out:
            _draw_neck(picture, wardrobe, choice.key_frames[Limb.HEAD], asked)
        if limb in UNDER_LAYERS:
            layer = LIMB_COUNT + UNDER_LAYERS.index(limb)
            if choice.key_frames[layer] != key_frame:
                _draw_piece(picture, wardrobe, choice.key_frames[layer], layer, limb, asked)
        if limb in HANDS:
            _draw_hand(picture, wardrobe, key_frame, limb, asked)
        else:
            _draw_piece(picture, wardrobe, key_frame, limb, limb, asked)
    _soften_outline(picture)
    if wardrobe.shadow is not None:
        lay_shadow_under(picture, wardrobe.shadow, pose)
    return Reference(picture, choice)


def _soften_outline(picture: NDArray[np.uint8]) -> None:
    """Soften the outline of all that is drawn, in place: a lens does so too, and a hard one flickers as it moves."""
    coverage = cv2.extractChannel(picture, 3)
    left, top, width, height = cv2.boundingRect(coverage)
    if not width:
        return
    left, top = max(left - 1, 0), max(top - 1, 0)
    drawn = picture[top : top + height + 2, left : left + width + 2]
    around = cv2.erode(coverage[top : top + height + 2, left : left + width + 2], _AROUND)
    soft = cv2.sepFilter2D(drawn, -1, _OUTLINE, _OUTLINE)
    drawn[:] = cv2.copyTo(drawn, cv2.threshold(around, _INSIDE, 255, cv2.THRESH_BINARY)[1], soft)


def blank_reference(width_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return the reference of a pose without limbs: `[H, W, 4]` uint8 zeros, nothing covered."""
    return np.zeros((height_px, width_px, 4), np.uint8)


def depth_order(body: PlacedBody) -> list[Limb]:
    """Return all limbs, the farthest first: a guess from the pose, since the joints have no depth."""
    joints, seen = body.pose.joints_px, body.pose.confidence > 0
    legs = [RIGHT_LEG, LEFT_LEG]
    both_ankles = seen[skeleton.R_ANKLE] and seen[skeleton.L_ANKLE]
    if both_ankles and joints[skeleton.R_ANKLE, 1] > joints[skeleton.L_ANKLE, 1]:
        legs.reverse()  # the lower foot is nearer
    arms = [RIGHT_ARM, LEFT_ARM]
    far_arms = []
    turn = float(body.feature(Limb.HEAD)[0])
    if abs(body.facing[0]) < PROFILE_SHOULDERS and not math.isnan(turn):
        far_arms.append(arms.pop(1 if turn > 0 else 0))
    raised = [leg for leg in legs if _raised(leg[0], body)]
    parts = [
        *far_arms,
        *(leg[::-1] for leg in legs if leg not in raised),
        (Limb.TORSO,),
        *raised,
        [arm[0] for arm in arms],  # an upper arm hardly ever covers the face, a forearm does
        (Limb.HEAD,),
        *(arm[1:] for arm in arms),
    ]
    return [limb for part in parts for limb in part]


def _raised(thigh: Limb, body: PlacedBody) -> bool:
    hip_px, knee_px = body.ends_px[thigh]
    return bool(body.placed[thigh] and knee_px[1] - hip_px[1] < _RAISED_KNEE * body.scale_px)


def _draw_piece(
    picture: NDArray[np.uint8], wardrobe: Wardrobe, key_frame: int, layer: int, limb: Limb, asked: PlacedBody
) -> None:
    """Move a piece and lay it over the picture, in place."""
    piece = wardrobe.piece(key_frame, layer) if key_frame >= 0 else None
    move = move_limb(limb, wardrobe.bodies[key_frame], asked) if piece is not None else None
    if piece is not None and move is not None:
        x, y = wardrobe.corners_px[key_frame, layer, :2].tolist()
        _lay_over(picture, piece, (x, y), move)


def _draw_neck(picture: NDArray[np.uint8], wardrobe: Wardrobe, key_frame: int, asked: PlacedBody) -> None:
    """Fill the place of the neck with the lower rows of the head's piece, in place.

    The pieces above leave it open only where no frame shows it, such as the throat of a person who always looks down.
    The face is left out: beside a turned head it would be a second one.
    """
    piece = wardrobe.piece(key_frame, Limb.HEAD) if key_frame >= 0 else None
    move = move_neck(wardrobe.bodies[key_frame], asked) if piece is not None else None
    if piece is None or move is None:
        return
    key = wardrobe.bodies[key_frame]
    x, y = wardrobe.corners_px[key_frame, Limb.HEAD, :2].tolist()
    chin = min(max(round(float(key.ends_px[Limb.HEAD, 0, 1]) - _CHIN_ABOVE * key.scale_px) - y, 0), len(piece))
    if chin < len(piece):
        _lay_over(picture, piece[chin:], (x, y + chin), move)


def _draw_hand(picture: NDArray[np.uint8], wardrobe: Wardrobe, key_frame: int, hand: Limb, asked: PlacedBody) -> None:
    """Move a hand, bend its fingers and lay it over the picture, in place."""
    found = wardrobe.hand(key_frame, hand) if key_frame >= 0 else None
    if found is None:
        return
    piece, corner_px, key = found
    move = move_limb(hand, key, asked)
    if move is None:
        return
    filmed_px, asked_px = hand_points_of(hand, key), hand_points_of(hand, asked)
    if filmed_px is not None and asked_px is not None:
        moved_px = filmed_px @ move[:, :2].T + move[:, 2]
        size_px = wardrobe.width_px, wardrobe.height_px
        bent = bend_hand(piece, corner_px, filmed_px, moved_px, asked_px, size_px)
        if bent is not None:
            _lay_over(picture, *bent, np.eye(2, 3))
            return
    _lay_over(picture, piece, corner_px, move)


def _lay_over(picture: NDArray[np.uint8], piece: NDArray[np.uint8], corner_px: tuple[int, int], move: Floats) -> None:
    """Lay a moved piece over the picture, in place; outside the picture it changes nothing.

    corner_px: x and y of the piece's upper left corner before the move.
    """
    (a, b, shift_x), (c, d, shift_y) = move.tolist()
    (x, y), (height, width) = corner_px, piece.shape[:2]
    corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
    corners_x = [a * u + b * v + shift_x for u, v in corners]
    corners_y = [c * u + d * v + shift_y for u, v in corners]
    left, right = max(min(corners_x), -1), min(max(corners_x), picture.shape[1] + 1)
    top, bottom = max(min(corners_y), -1), min(max(corners_y), picture.shape[0] + 1)
    if not (left < right and top < bottom):  # NaN is neither
        return
    x0, x1 = max(math.floor(left), 0), min(math.ceil(right) + 1, picture.shape[1])
    y0, y1 = max(math.floor(top), 0), min(math.ceil(bottom) + 1, picture.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    # OpenCV's positions count from pixel centres.
    to_window = np.array(
        [
            [a, b, shift_x + a * (x + 0.5) + b * (y + 0.5) - 0.5 - x0],
            [c, d, shift_y + c * (x + 0.5) + d * (y + 0.5) - 0.5 - y0],
        ]
    )
    moved = cv2.warpAffine(piece, to_window, (x1 - x0, y1 - y0), flags=cv2.INTER_LINEAR)
    window = picture[y0:y1, x0:x1]
    uncovered = cv2.bitwise_not(cv2.extractChannel(moved, 3))
    # OpenCV's own arithmetic is several times faster here than NumPy's, which needs 16 bits.
    kept = cv2.multiply(window, cv2.merge((uncovered,) * 4), scale=1 / 255)
    window[:] = cv2.add(kept, moved)
