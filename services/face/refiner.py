"""Makes generated faces better: each actor's own network adds a residual to a crop. No gRPC in sight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motion.frame import Picture
from serving.actors.store import Actor
from serving.errors import ActorUnusable, BadPicture
from serving.inference.engine import Device, PictureEngine, Precision, open_engine

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """One face to refine: the crop of the generated picture, and the same crop of the label map.

    Both `[S, S, 3]` uint8 RGB, S the side that the actor's face rule names.
    """

    face: Picture
    label: Picture


@dataclass(frozen=True, slots=True, eq=False)
class FaceNetwork:
    """One actor's network, used by one thread at a time, and the side of its crops in pixels."""

    actor: Actor
    engine: PictureEngine

    @property
    def crop_px(self) -> int:
        """Side of the crops."""
        return self.actor.face_rule.crop_px

    def blank_crop(self) -> FaceCrop:
        """A crop that shows nothing, of the right size."""
        blank = np.full((self.crop_px, self.crop_px, 3), 128, np.uint8)
        return FaceCrop(blank, blank)


def open_face_network(actor: Actor, *, device: Device, threads: int, precision: Precision) -> FaceNetwork:
    """The actor's face network, warmed up.

    Raises ActorUnusable for an actor without one, and for one that is damaged or cannot run here.
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
    """The refined faces of one actor, `[S, S, 3]` uint8 RGB each; BadPicture in place of a crop of another size.

    Raises ActorUnusable for a network that does not do what its actor says.
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
                f"actor {actor.id!r} version {actor.version}: its face network gives {face.dtype} {face.shape}, "
                f"its crops are uint8 {expected}"
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
                f"is {width_px}x{height_px}, actor {actor.id!r} version {actor.version} takes {side_px}x{side_px}",
            )
    return None
