"""Draw one actor: a label map and the previous picture in, the next picture out. Independent of Triton."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from motion.frame import ZERO_LEVEL, Picture
from serving.actors.store import Actor
from serving.errors import ActorUnusable, BadPicture
from serving.inference.engine import PictureEngine, open_engine
from serving.inference.precision import Device, Precision

if TYPE_CHECKING:
    from torch import nn


class Painted(NamedTuple):
    """`frame`: `[H, W, 3]` uint8 RGB; `compute_seconds`: the time it took to draw."""

    frame: Picture
    compute_seconds: float


class Painter:
    """One actor's network, warmed up. Stateless between pictures. Not thread-safe.

    one_by_one: run each item of a batch on its own, so that a frame's bytes never depend on its neighbours. A CPU gains
    nothing from batches; a GPU does, and runs them together.
    """

    def __init__(self, actor: Actor, engine: PictureEngine, *, one_by_one: bool) -> None:
        self.actor = actor
        self.shape = (actor.crop.out_height_px, actor.crop.out_width_px, 3)
        self._engine = engine
        self._one_by_one = one_by_one
        self.paint([(np.full(self.shape, 255, np.uint8), np.full(self.shape, ZERO_LEVEL, np.uint8))])

    @classmethod
    def open(cls, actor: Actor, *, device: Device, threads: int, precision: Precision) -> Painter:
        """Open the actor's network. Raises ActorUnusable if it is damaged or the device or precision is unavailable."""

        def torch_module(model_path: Path) -> nn.Module:
            from services.generator.network import served_generator  # torch is an extra, and slow to import

            return served_generator(model_path, actor.generator.padding)

        engine = open_engine(
            actor.generator_path,
            device=device,
            threads=threads,
            precision=precision,
            torch_module=torch_module if device == "gpu" else None,
        )
        return cls(actor, engine, one_by_one=device == "cpu")

    @property
    def precision(self) -> str:
        """The precision that is actually used."""
        return self._engine.precision

    def check(self, name: str, picture: NDArray[np.generic]) -> None:
        """Raise BadPicture unless `picture` is uint8 and has the size of the actor's crop."""
        if picture.dtype != np.uint8 or picture.shape != self.shape:
            raise BadPicture(
                name, f"is {picture.dtype} {picture.shape}, but {self._actor_name} takes uint8 {self.shape}"
            )

    def paint(self, pairs: Sequence[tuple[Picture, Picture]]) -> list[Painted]:
        """Draw a picture for each (label map, previous picture). Items that run together share the time equally.

        Raises ActorUnusable if the network outputs anything but pictures of the crop's size.
        """
        groups = [[pair] for pair in pairs] if self._one_by_one or not pairs else [list(pairs)]
        painted = []
        for group in groups:
            started = time.perf_counter()
            frames = self._run(group)
            seconds = (time.perf_counter() - started) / len(group)
            painted += [Painted(frame, seconds) for frame in frames]
        return painted

    def _run(self, group: list[tuple[Picture, Picture]]) -> list[Picture]:
        try:
            frames = self._engine.run_batch(group)
        except RuntimeError as error:
            raise ActorUnusable(
                f"{self._actor_name}: its network does not run on pictures of {self.shape}: {error}"
            ) from error
        for frame in frames:
            # Triton does not check outputs against the model's config.
            if frame.dtype != np.uint8 or frame.shape != self.shape:
                raise ActorUnusable(
                    f"{self._actor_name}: its network returns {frame.dtype} {frame.shape}, expected uint8 {self.shape}"
                )
        return frames

    @property
    def _actor_name(self) -> str:
        return f"actor {self.actor.id!r} version {self.actor.version}"
