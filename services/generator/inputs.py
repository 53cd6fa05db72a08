"""The pictures that an actor's network takes: names, shapes and blank ones."""

from __future__ import annotations

from typing import Final

import numpy as np

from motion.frame import ZERO_LEVEL, Picture
from serving.actors.store import Actor

INPUT_NAMES: Final = ("LABEL_MAP", "PREVIOUS_FRAME", "REFERENCE")
"""Every picture that an actor's network may take, in its order. Only actors with a wardrobe take the last."""

Inputs = tuple[Picture, ...]
"""The pictures that one drawing takes, in the order of `input_shapes`."""


def input_shapes(actor: Actor) -> dict[str, tuple[int, int, int]]:
    """Return the name and the shape of each picture that the actor's network takes, in its order.

    LABEL_MAP and PREVIOUS_FRAME are RGB. REFERENCE, for actors with a wardrobe, is premultiplied RGB and coverage.
    """
    height_px, width_px = actor.crop.out_height_px, actor.crop.out_width_px
    shapes = {"LABEL_MAP": (height_px, width_px, 3), "PREVIOUS_FRAME": (height_px, width_px, 3)}
    return shapes | {"REFERENCE": (height_px, width_px, 4)} if actor.generator.reference else shapes


def blank_inputs(actor: Actor) -> dict[str, Picture]:
    """Return the pictures of a frame in which no person is drawn, by name: for a warm-up or a canary."""
    blank = {"LABEL_MAP": 255, "PREVIOUS_FRAME": ZERO_LEVEL, "REFERENCE": 0}
    return {name: np.full(shape, blank[name], np.uint8) for name, shape in input_shapes(actor).items()}
