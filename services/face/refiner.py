"""Refine generated faces: each actor's own network adds a residual to a crop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motion.frame import Picture
from serving.actors.store import Actor
from serving.errors import ActorUnusable, BadPicture
from serving.inference.engine import PictureEngine, open_engine
from serving.inference.precision import Device, Precision

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """One face to refine: the crop of the generated picture and the same crop of the label map.

    Both are `[S, S, 3]` uint8 RGB; S is the side in the actor's face rule.
    """

    face: Picture
    label: Picture


@dataclass(frozen=True, slots=True, eq=False)
class FaceNetwork:
    """One actor's network. Only one thread may use it at a time."""

    actor: Actor
    engine: PictureEngine

    @property
    def crop_px(self) -> int:
        """The side of the actor's face crops."""
        return self.actor.face_rule.crop_px

    def blank_crop(self) -> FaceCrop:
        """Return a uniform grey crop of the right size."""
        blank = np.full((self.crop_px, self.crop_px, 3), 128, np.uint8)
        return FaceCrop(blank, blank)


def open_face_network(actor: Actor, *, device: Device, threads: int, precision: Precision) -> FaceNetwork:
    """Open the actor's face network and warm it up.

    Raises ActorUnusable if the actor has none, or if it is damaged or cannot run here.
    """
    if actor.face is None:
        raise ActorUnusable(f"actor {actor.id!r} version {actor.version} was trained without a face network")
    padding = actor.face.padding

    def torch_module(model_path: Path) -> nn.Module:
        from services.face.network import served_face  # torch is an extra, and slow to import

        return served_face(model_path, padding)

    engine = open_engine(
        actor.face_path,
        device=device,
        threads=threads,
        precision=precision,
        torch_module=torch_module if device == "gpu" else None,
    )
    network = FaceNetwork(actor, engine)
    _run(network, [network.blank_crop()])
    return network


def refine(network: FaceNetwork, crops: Sequence[FaceCrop]) -> list[Picture | BadPicture]:
    """Refine crops of one actor, to `[S, S, 3]` uint8 RGB each; a crop of another size returns BadPicture instead.

    Raises ActorUnusable if the network's output does not match the actor.
    """
    refused = [_wrong_size(network, crop) for crop in crops]
    good = [crop for crop, error in zip(crops, refused, strict=True) if error is None]
    refined = iter(_run(network, good) if good else [])
    return [error if error is not None else next(refined) for error in refused]


def _run(network: FaceNetwork, crops: Sequence[FaceCrop]) -> list[Picture]:
    actor = network.actor
    expected = (network.crop_px, network.crop_px, 3)
    try:
        refined = network.engine.run_batch([(crop.label, crop.face) for crop in crops])
    except RuntimeError as error:
        raise ActorUnusable(
            f"actor {actor.id!r} version {actor.version}: its face network does not run on crops of {expected}: {error}"
        ) from error
    for face in refined:
        if face.dtype != np.uint8 or face.shape != expected:
            raise ActorUnusable(
                f"actor {actor.id!r} version {actor.version}: its face network returns {face.dtype} {face.shape}, "
                f"expected uint8 {expected}"
            )
    return refined


def _wrong_size(network: FaceNetwork, crop: FaceCrop) -> BadPicture | None:
    side_px = network.crop_px
    for field, picture in (("face", crop.face), ("label", crop.label)):
        height_px, width_px = picture.shape[:2]
        if (width_px, height_px) != (side_px, side_px):
            actor = network.actor
            return BadPicture(
                field,
                f"is {width_px}x{height_px}, actor {actor.id!r} version {actor.version} expects {side_px}x{side_px}",
            )
    return None
