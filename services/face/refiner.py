"""Makes generated faces better: each actor's own network adds a residual to a crop. No gRPC in sight."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from motion.frame import Picture
from serving.actors import Actor, ActorStore
from serving.engine import Device, PictureEngine, Precision, open_engine
from serving.errors import ActorUnusable, BadPicture, DanceError

if TYPE_CHECKING:
    from torch import nn

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FaceCrop:
    """One face to refine: the crop of the generated picture, and the same crop of the label map.

    Both `[S, S, 3]` uint8 RGB, S the side that the actor's face rule names.
    """

    face: Picture
    label: Picture


@dataclass(frozen=True, slots=True)
class FaceNetwork:
    """One actor's network and the side of its crops in pixels."""

    actor: Actor
    engine: PictureEngine

    @property
    def crop_px(self) -> int:
        """Side of the crops."""
        return self.actor.face_rule.crop_px


def open_face_network(actor: Actor, *, device: Device, threads: int, precision: Precision) -> FaceNetwork:
    """The actor's face network, warmed up.

    Raises ActorUnusable for an actor without one, and for one that is damaged or cannot run here.
    """
    if actor.face is None:
        raise ActorUnusable(f"actor {actor.id!r} version {actor.version} was trained without a face network")
    engine = open_engine(
        actor.face_path,
        device=device,
        threads=threads,
        precision=precision,
        torch_module=_torch_module if device == "gpu" else None,
    )
    network = FaceNetwork(actor, engine)
    blank = np.full((network.crop_px, network.crop_px, 3), 128, np.uint8)
    _run(network, [FaceCrop(blank, blank)])
    return network


class FaceRefiner:
    """Holds the networks that were used last, and runs them. Not thread-safe: one thread at a time.

    open_network: opens an actor's network, as `open_face_network` does.
    """

    def __init__(
        self, store: ActorStore, open_network: Callable[[Actor], FaceNetwork], *, max_networks: int = 8
    ) -> None:
        self._store = store
        self._open_network = open_network
        self._max_networks = max_networks
        self._networks: OrderedDict[tuple[str, int], FaceNetwork] = OrderedDict()

    @classmethod
    def of_folder(
        cls, actors_root: Path, *, device: Device, threads: int, precision: Precision, max_networks: int
    ) -> FaceRefiner:
        """Networks of the actors below `actors_root`."""
        opened = partial(open_face_network, device=device, threads=threads, precision=precision)
        return cls(ActorStore(actors_root), opened, max_networks=max_networks)

    def held(self) -> list[tuple[str, int]]:
        """Actor and version of the networks that are held; the one that was used last comes last."""
        return list(self._networks)

    def warm_up(self) -> None:
        """Opens the newest version of every actor that has a face network, as far as there is room.

        An actor that cannot be served is logged; whoever asks for it will be told.
        """
        for actor_id in self._store.ids():
            if len(self._networks) >= self._max_networks:
                return
            try:
                actor = self._store.load(actor_id)
                if actor.face is not None:
                    self._network(actor.id, actor.version)
            except DanceError as error:
                _log.warning("no face network for actor %s: %s", actor_id, error)

    def refine(self, actor_id: str, version: int, crops: Sequence[FaceCrop]) -> list[Picture | BadPicture]:
        """The refined faces of one actor, `[S, S, 3]` uint8 RGB each; BadPicture in place of a crop of another size.

        Raises BadInput, ActorNotFound and ActorUnusable for the actor.
        """
        network = self._network(actor_id, version)
        refused = [_wrong_size(network, crop) for crop in crops]
        good = [crop for crop, error in zip(crops, refused, strict=True) if error is None]
        refined = iter(_run(network, good) if good else [])
        return [error if error is not None else next(refined) for error in refused]

    def _network(self, actor_id: str, version: int) -> FaceNetwork:
        key = (actor_id, version)
        network = self._networks.pop(key, None)
        if network is None:
            actor = self._store.load(actor_id, version)
            key = (actor.id, actor.version)
            network = self._networks.pop(key, None) or self._open_network(actor)
            _log.info("actor %s version %d: face network in %s", actor.id, actor.version, network.engine.precision)
        self._networks[key] = network
        while len(self._networks) > self._max_networks:
            self._networks.popitem(last=False)
        return network


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


def _torch_module(model_path: Path) -> nn.Module:
    from services.face.network import served_face  # torch is an extra, and slow to import

    return served_face(model_path)
