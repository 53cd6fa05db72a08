"""`Wardrobe`: the pieces of an actor's limbs, and what is needed to choose and move them."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.floor_shadow import Shadow
from motion.pose import Pose
from motion.wardrobe.hands import OTHER_HAND
from motion.wardrobe.limbs import Limb
from motion.wardrobe.placing import FEATURE_STARTS, Floats, PlacedBody, place

WARDROBE_VERSION: Final = 1
"""Must rise with every change to limbs, pieces or moves: a generator is trained on references of one version."""

FACINGS: Final = ("front", "left", "right", "back")
PROFILE_SHOULDERS: Final = 0.28
"""Shoulders less than this apart, in torso lengths, belong to a person seen from the side."""


@dataclass(frozen=True, eq=False)
class Wardrobe:
    """The limbs of an actor in `K` key frames, cut at the size of the network's picture. Immutable and shareable.

    width_px, height_px: the size of the network's picture.
    frames: `[K]` int64, the key frames' numbers in the footage, ascending.
    poses: the key frames' poses in pixels of the crop.
    limb_lengths_px: `[9]` float64, the actor's limbs as `placing.measure_limbs` returns them.
    corners_px: `[K, LAYER_COUNT, 4]` int32: x, y, width and height of each piece; width and height 0 for none.
    pixels: `[P, 4]` uint8, the pieces one after another, row by row: RGB multiplied by the coverage, and the coverage.
    hidden: `[K, LIMB_COUNT]` float32 in [0, 1], how much of a limb other limbs hide.
    flaws: `[K, LIMB_COUNT]` float32, how blurred, painted over or unlike the other frames a piece is; 0 is best.
    shadow: how the person's shadow falls on the floor; None if the footage shows none.
    """

    width_px: int
    height_px: int
    frames: NDArray[np.int64]
    poses: tuple[Pose, ...]
    limb_lengths_px: Floats
    corners_px: NDArray[np.int32]
    pixels: NDArray[np.uint8]
    hidden: NDArray[np.float32]
    flaws: NDArray[np.float32]
    shadow: Shadow | None = None
    _pieces: tuple[tuple[NDArray[np.uint8] | None, ...], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        for array in (self.frames, self.limb_lengths_px, self.corners_px, self.pixels, self.hidden, self.flaws):
            array.setflags(write=False)
        sizes = self.corners_px[..., 2:].astype(np.int64)
        counts = sizes.prod(axis=-1)
        starts = (np.cumsum(counts) - counts.ravel()).reshape(counts.shape)
        pieces = tuple(
            tuple(
                self.pixels[start : start + count].reshape(height, width, 4) if count else None
                for start, count, (width, height) in zip(*row, strict=True)
            )
            for row in zip(starts.tolist(), counts.tolist(), sizes.tolist(), strict=True)
        )
        object.__setattr__(self, "_pieces", pieces)

    @property
    def key_frames(self) -> int:
        """`K`, the number of key frames."""
        return len(self.frames)

    @property
    def memory_bytes(self) -> int:
        """What the pieces and the numbers that choose among them need in memory."""
        chosen_by = (self.features, self.facing, self.mirrored_features, self.mirrored_facing)
        arrays = (self.frames, self.corners_px, self.pixels, self.hidden, self.flaws, *chosen_by)
        shadow_bytes = 0 if self.shadow is None else self.shadow.strength.nbytes
        return (
            shadow_bytes
            + sum(array.nbytes for array in arrays)
            + sum(pose.joints_px.nbytes + pose.confidence.nbytes for pose in self.poses)
        )

    def piece(self, key_frame: int, layer: int) -> NDArray[np.uint8] | None:
        """The pixels of a piece, `[h, w, 4]` uint8, premultiplied, or None if the key frame does not show it."""
        return self._pieces[key_frame][layer]

    def hand(self, key_frame: int, hand: Limb) -> tuple[NDArray[np.uint8], tuple[int, int], PlacedBody] | None:
        """A hand's piece, the x and y of its corner and the body it was cut from; None if there is none.

        From `key_frames` on, it is the other hand of key frame 0 and those after it, mirrored, with a mirrored body.
        """
        mirrored, source = divmod(key_frame, self.key_frames)
        layer = OTHER_HAND[hand] if mirrored else hand
        piece = self.piece(source, layer)
        if piece is None:
            return None
        x, y, width, _ = self.corners_px[source, layer].tolist()
        if not mirrored:
            return piece, (x, y), self.bodies[source]
        return np.ascontiguousarray(piece[:, ::-1]), (-x - width, y), self.mirrored_bodies[source]

    def resized(self, width_px: int, height_px: int) -> Wardrobe:
        """Return the wardrobe for smaller pictures, which cost less to draw. The same choices stay valid.

        Raises ValueError unless the size is smaller and has the same proportions.
        """
        scale = Fraction(width_px, self.width_px)
        if not 0 < scale < 1 or scale != Fraction(height_px, self.height_px):
            own = f"{self.width_px}x{self.height_px}"
            raise ValueError(f"a wardrobe for {own} cannot be reduced to {width_px}x{height_px}")
        corners_px = np.zeros_like(self.corners_px)
        parts = [np.zeros((0, 4), np.uint8)]
        for key_frame, layer in np.argwhere(self.has).tolist():
            piece = self._pieces[key_frame][layer]
            assert piece is not None
            corner_px = self.corners_px[key_frame, layer, :2].tolist()
            x, y, reduced = _reduced(piece, corner_px, scale)
            corners_px[key_frame, layer] = x, y, reduced.shape[1], reduced.shape[0]
            parts.append(reduced.reshape(-1, 4))
        return Wardrobe(
            width_px=width_px,
            height_px=height_px,
            frames=self.frames,
            poses=tuple(pose.transformed(float(scale), float(scale)) for pose in self.poses),
            limb_lengths_px=self.limb_lengths_px * float(scale),
            corners_px=corners_px,
            pixels=np.concatenate(parts),
            hidden=self.hidden,
            flaws=self.flaws,
            shadow=self.shadow,
        )

    def facings(self) -> tuple[str, ...]:
        """Which of "front", "left", "right" and "back" the key frames show: the person's side that one sees."""
        shown = {facing_of(self.bodies[key_frame]) for key_frame in np.flatnonzero(self.has[:, Limb.TORSO])}
        return tuple(facing for facing in FACINGS if facing in shown)

    @cached_property
    def bodies(self) -> tuple[PlacedBody, ...]:
        """The limbs of each key frame, placed."""
        return tuple(place(pose, self.limb_lengths_px) for pose in self.poses)

    @cached_property
    def mirrored_bodies(self) -> tuple[PlacedBody, ...]:
        """The limbs of each mirrored key frame, placed: left is right, and x is negative."""
        return tuple(place(pose.mirrored(0), self.limb_lengths_px) for pose in self.poses)

    @cached_property
    def mirrored_features(self) -> Floats:
        """`[K, FEATURE_COUNT]`: the features of the mirrored key frames' bodies; NaN where a hand has no piece."""
        features = np.stack([body.features for body in self.mirrored_bodies])
        for hand, other in OTHER_HAND.items():
            features[~self.has[:, other], FEATURE_STARTS[hand]] = np.nan
        return features

    @cached_property
    def mirrored_facing(self) -> Floats:
        """`[K, 5]`: the facing of the mirrored key frames' bodies."""
        return np.stack([body.facing for body in self.mirrored_bodies])

    @cached_property
    def has(self) -> NDArray[np.bool_]:
        """`[K, LAYER_COUNT]` bool: which pieces there are."""
        return np.asarray(self.corners_px[..., 2] > 0)

    @cached_property
    def features(self) -> Floats:
        """`[K, FEATURE_COUNT]`: the features of the key frames' bodies; NaN where a limb has no piece."""
        features = np.stack([body.features for body in self.bodies])
        for limb in Limb:
            start, end = [*FEATURE_STARTS, features.shape[1]][limb : limb + 2]
            features[~self.has[:, limb], start:end] = np.nan
        return features

    @cached_property
    def facing(self) -> Floats:
        """`[K, 5]`: the facing of the key frames' bodies."""
        return np.stack([body.facing for body in self.bodies])


def facing_of(body: PlacedBody) -> str:
    """The side of the person that a body shows: y points down, so a person seen from the front has the left at +x."""
    shoulders_x = float(body.facing[0])
    if abs(shoulders_x) >= PROFILE_SHOULDERS:
        return "front" if shoulders_x > 0 else "back"
    turn = float(body.feature(Limb.HEAD)[0])
    return "left" if turn < 0 else "right"


def _reduced(
    piece: NDArray[np.uint8], corner_px: tuple[int, int], scale: Fraction
) -> tuple[int, int, NDArray[np.uint8]]:
    """Reduce a piece, and return the x and y of its corner in the smaller picture.

    Empty rows and columns are added first, so that its corners lie on whole pixels of the smaller picture: otherwise
    limbs would move by parts of a pixel against each other.
    """
    (x, y), (height, width), step = corner_px, piece.shape[:2], scale.denominator
    left, top = x % step, y % step
    padded = cv2.copyMakeBorder(
        piece, top, -(y + height) % step, left, -(x + width) % step, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
    )
    size = int(padded.shape[1] * scale), int(padded.shape[0] * scale)
    reduced = np.asarray(cv2.resize(padded, size, interpolation=cv2.INTER_AREA), np.uint8)
    return int((x - left) * scale), int((y - top) * scale), reduced
