"""The sizes at which an actor can be drawn: the actor's own, and smaller ones that cost less.

The network is convolutional, and what it heals, the reference, is drawn from the same limbs at any size. So a network
trained at 512x512 also draws 384x384 and 256x256: docs/results/picture-sizes.md shows how that looks.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Final

from motion.crop import Crop
from motion.frame import FrameSize
from serving.actors.actor import Actor

_SMALLER: Final = (Fraction(3, 4), Fraction(1, 2))
SMALLEST_SIDE_PX: Final = 256
"""No smaller size has a shorter side: hands would be a few pixels, and quick presets draw 256x256 anyway."""


def picture_sizes(actor: Actor) -> tuple[FrameSize, ...]:
    """Return the sizes at which the actor can be drawn, the actor's own first, then smaller ones.

    Only actors with a wardrobe have smaller ones: other networks invent what they draw, for one size.
    """
    crop = actor.crop
    sizes = [own_size(actor)]
    if not actor.generator.reference:
        return tuple(sizes)
    unit_px = 2**actor.generator.downsamplings
    for scale in _SMALLER:
        width_px, height_px = crop.out_width_px * scale, crop.out_height_px * scale
        whole = width_px % unit_px == 0 and height_px % unit_px == 0
        if whole and min(width_px, height_px) >= SMALLEST_SIDE_PX:
            sizes.append(FrameSize(int(width_px), int(height_px)))
    return tuple(sizes)


def own_size(actor: Actor) -> FrameSize:
    """Return the size that the actor's network was trained for."""
    return FrameSize(actor.crop.out_width_px, actor.crop.out_height_px)


def crop_at(actor: Actor, size: FrameSize) -> Crop:
    """Return the actor's crop, drawn at `size`."""
    return replace(actor.crop, out_width_px=size.width_px, out_height_px=size.height_px)
