"""A published actor at work without any service: its networks draw poses, as they would when served."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from motion.crop import Crop
from motion.face_region import cut_face, face_region, paste_face
from motion.frame import ZERO_LEVEL, Picture
from motion.labelmap import draw_label_map
from motion.pose import Pose
from serving.actors.store import Actor
from serving.inference.engine import open_engine


@dataclass(slots=True)
class DrawingTimes:
    """Seconds for each picture that was drawn, with label map; and for each face that was refined."""

    body_seconds: list[float] = field(default_factory=list)
    face_seconds: list[float] = field(default_factory=list)

    @property
    def frames_per_second(self) -> float | None:
        """Of one session that waits for nothing else: by the median times; None where nothing was drawn."""
        if not self.body_seconds:
            return None
        return 1 / float(np.median(self.body_seconds) + (np.median(self.face_seconds) if self.face_seconds else 0))


class PublishedActor:
    """Draws with an actor's files. Raises ActorUnusable for networks that cannot be opened."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.times = DrawingTimes()
        self._draw = open_engine(actor.generator_path)
        self._refine = None if actor.face is None else open_engine(actor.face_path)

    @property
    def precision(self) -> str:
        """Of the body's arithmetic."""
        return self._draw.precision

    def run(self, poses: Iterable[Pose]) -> tuple[list[Picture], list[Picture]]:
        """Pictures of consecutive poses, in pixels of the actor's footage, the first drawn on the empty picture.

        Returns them, `[H, W, 3]` uint8 RGB of the crop, as the body's network draws them, and with refined faces,
        which are the same where the actor has no face network.
        """
        crop, rule = self.actor.crop, self.actor.face_rule
        size_px = (crop.out_width_px, crop.out_height_px)
        previous = np.full((size_px[1], size_px[0], 3), ZERO_LEVEL, np.uint8)
        unrefined, refined = [], []
        for pose in poses:
            on_crop = crop.to_crop(pose)
            began = time.perf_counter()
            label = draw_label_map(on_crop, *size_px)
            previous = self._draw.run(label, previous)
            self.times.body_seconds.append(time.perf_counter() - began)
            picture = previous
            region = None if self._refine is None else face_region(on_crop, rule, *size_px)
            if region is not None and self._refine is not None:
                began = time.perf_counter()
                crops = [cut_face(whole, region, rule.crop_px) for whole in (label, picture)]
                picture = paste_face(picture, self._refine.run(*crops), region)
                self.times.face_seconds.append(time.perf_counter() - began)
            unrefined.append(previous)
            refined.append(picture)
        return unrefined, refined


def seen_on(pictures: Sequence[Picture], actor: Actor, crop: Crop) -> list[Picture]:
    """An actor's pictures as another crop of the same footage shows them: laid onto the plate, and cut out again.

    Raises ActorUnusable for a plate that cannot be read.
    """
    if actor.crop == crop:
        return list(pictures)
    plate = actor.read_plate()
    return [crop.cut(actor.crop.paste(picture, plate)) for picture in pictures]
