"""Run a published actor without any service: its networks draw poses as they would when served."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from motion.crop import Crop
from motion.frame import ZERO_LEVEL, Picture
from motion.labelmap import draw_label_map
from motion.pose import Pose
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from serving.actors.store import Actor
from serving.inference.engine import open_engine
from training.networks.recurrent_drawing import refine_face


class PublishedActor:
    """Draws with an actor's files. Raises ActorUnusable for files that cannot be opened.

    wardrobe: the actor's limbs; None for actors that are drawn without a reference.
    """

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        # For each picture that was drawn, including its label map and reference, and for each face that was refined.
        self._body_seconds: list[float] = []
        self._face_seconds: list[float] = []
        self._draw = open_engine(actor.generator_path, inputs=actor.generator.inputs)
        self._refine = None if actor.face is None else open_engine(actor.face_path)
        self.wardrobe = None if actor.wardrobe is None else actor.read_wardrobe()

    @property
    def precision(self) -> str:
        """The precision of the body's arithmetic."""
        return self._draw.precision

    @property
    def frames_per_second(self) -> float | None:
        """The speed of one session that waits for nothing else, by the median times; None if nothing was drawn."""
        if not self._body_seconds:
            return None
        return 1 / float(np.median(self._body_seconds) + (np.median(self._face_seconds) if self._face_seconds else 0))

    def run(
        self, poses: Iterable[Pose], allowed: Iterable[NDArray[np.bool_]] | None = None
    ) -> tuple[list[Picture], list[Picture]]:
        """Draw consecutive poses, in pixels of the actor's footage, the first one on the empty picture.

        allowed: for each pose, which key frames may serve as its reference, `[K]` bool; None: all, as when served.

        Returns the pictures, `[H, W, 3]` uint8 RGB of the crop, as the body's network draws them, and the same with
        refined faces, which are equal if the actor has no face network.
        """
        crop = self.actor.crop
        unrefined: list[Picture] = []
        refined: list[Picture] = []
        choice: Choice | None = None
        for pose, usable in zip(poses, repeat(None) if allowed is None else allowed, strict=False):
            on_crop = crop.to_crop(pose)
            began = time.perf_counter()
            label = draw_label_map(on_crop, crop.out_width_px, crop.out_height_px)
            inputs = [label, unrefined[-1] if unrefined else np.full_like(label, ZERO_LEVEL)]
            if self.wardrobe is not None:
                reference = draw_reference(self.wardrobe, on_crop, choice, allowed=usable)
                choice = reference.choice
                inputs.append(reference.picture)
            picture = self._draw.run(*inputs)
            self._body_seconds.append(time.perf_counter() - began)
            unrefined.append(picture)
            refined.append(self._refined(label, picture, on_crop))
        return unrefined, refined

    def _refined(self, label: Picture, picture: Picture, pose: Pose) -> Picture:
        if self._refine is None:
            return picture
        began = time.perf_counter()
        refined = refine_face(self._refine.run, label, picture, pose, self.actor.face_rule)
        if refined is not picture:
            self._face_seconds.append(time.perf_counter() - began)
        return refined


def seen_on(pictures: Sequence[Picture], actor: Actor, crop: Crop) -> list[Picture]:
    """An actor's pictures as another crop of the same footage shows them: laid onto the plate, and cut out again.

    Raises ActorUnusable if the plate cannot be read.
    """
    if actor.crop == crop:
        return list(pictures)
    plate = actor.read_plate()
    return [crop.cut(actor.crop.paste(picture, plate)) for picture in pictures]
