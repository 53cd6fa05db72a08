"""Draw one actor: a label map, the previous picture and, for actors with a wardrobe, a reference in; the next picture
out. Independent of Triton.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture, RgbaPicture
from services.generator.inputs import Inputs, blank_inputs, input_shapes
from serving.actors.sizes import crop_at
from serving.actors.store import Actor
from serving.errors import ActorUnusable, BadInput, BadPicture
from serving.inference.engine import PictureEngine, open_engine
from serving.inference.precision import Device, Precision

if TYPE_CHECKING:
    from torch import nn


class Painted(NamedTuple):
    """What was drawn.

    frame: `[H, W, 3]` uint8 RGB. compute_seconds: the time it took. person: `[H, W, 4]` uint8, premultiplied RGB and
    opacity, if it was requested.
    """

    frame: Picture
    compute_seconds: float
    person: RgbaPicture | None = None


class Painter:
    """One actor's network, warmed up. Stateless between pictures. Not thread-safe.

    one_by_one: run each item of a batch on its own, so that a frame's bytes never depend on its neighbours. A CPU gains
    nothing from batches; a GPU does, and runs them together.
    """

    def __init__(self, actor: Actor, engine: PictureEngine, *, one_by_one: bool) -> None:
        self.actor = actor
        self.shapes: Mapping[str, tuple[int, int, int]] = input_shapes(actor)
        self.draws_person = actor.generator.reference
        self._frame_shape = self.shapes["PREVIOUS_FRAME"]
        self._engine = engine
        self._one_by_one = one_by_one
        self.paint([tuple(blank_inputs(actor).values())])

    @classmethod
    def open(
        cls,
        actor: Actor,
        *,
        device: Device,
        threads: int,
        precision: Precision,
        size: FrameSize | None = None,
    ) -> Painter:
        """Open the actor's network. Raises ActorUnusable if it is damaged or the device or precision is unavailable.

        size: of the pictures, a smaller one of `serving.actors.sizes.picture_sizes`; None for the actor's own.
        """
        if size is not None:
            actor = replace(actor, crop=crop_at(actor, size))

        def torch_module(model_path: Path) -> nn.Module:
            from services.generator.network import served_generator  # torch is an extra, and slow to import

            return served_generator(model_path, actor.generator.padding, size)

        engine = open_engine(
            actor.generator_path,
            device=device,
            threads=threads,
            precision=precision,
            inputs=actor.generator.inputs,
            size=size,
            torch_module=torch_module if device == "gpu" else None,
        )
        return cls(actor, engine, one_by_one=device == "cpu")

    @property
    def precision(self) -> str:
        """The precision that is actually used."""
        return self._engine.precision

    def check(self, name: str, picture: NDArray[np.generic]) -> None:
        """Raise BadPicture unless `picture` is uint8 and has the shape that the actor takes as its input `name`."""
        expected = self.shapes[name]
        if picture.dtype != np.uint8 or picture.shape != expected:
            raise BadPicture(name, f"is {picture.dtype} {picture.shape}, but {self._actor_name} takes uint8 {expected}")

    def check_names(self, given: Set[str]) -> None:
        """Raise BadInput unless `given` are the names of the pictures that the actor takes."""
        for name in self.shapes.keys() - given:
            raise BadInput(name, f"is missing, and {self._actor_name} needs it")
        for name in given - self.shapes.keys():
            raise BadInput(name, f"was sent, and {self._actor_name} does not take it")

    def paint(self, items: Sequence[Inputs], *, with_person: bool = False) -> list[Painted]:
        """Draw a picture for each item: its pictures in the order of `shapes`. Items that run together share the time.

        with_person: return the person alone as well. Raises ActorUnusable if the network outputs anything but pictures
        of the crop's size, or no person.
        """
        groups = [[item] for item in items] if self._one_by_one or not items else [list(items)]
        painted = []
        for group in groups:
            started = time.perf_counter()
            drawn = self._run(group, with_person=with_person)
            seconds = (time.perf_counter() - started) / len(group)
            painted += [Painted(frame, seconds, *person) for frame, *person in drawn]
        return painted

    def _run(self, group: list[Inputs], *, with_person: bool) -> list[tuple[Picture, ...]]:
        height_px, width_px, _ = self._frame_shape
        expected = [self._frame_shape, (height_px, width_px, 4)][: 2 if with_person else 1]
        drawn: list[tuple[Picture, ...]]
        try:
            if with_person:
                drawn = self._engine.run_all(group)
            else:
                drawn = [(frame,) for frame in self._engine.run_batch(group)]
        except RuntimeError as error:
            raise ActorUnusable(
                f"{self._actor_name}: its network does not run on pictures of {self._frame_shape}: {error}"
            ) from error
        for pictures in drawn:
            # Triton does not check outputs against the model's config.
            returned = " and ".join(f"{picture.dtype} {picture.shape}" for picture in pictures)
            wanted = " and ".join(f"uint8 {shape}" for shape in expected)
            if returned != wanted:
                raise ActorUnusable(f"{self._actor_name}: its network returns {returned}, expected {wanted}")
        return drawn

    @property
    def _actor_name(self) -> str:
        return f"actor {self.actor.id!r} version {self.actor.version}"
