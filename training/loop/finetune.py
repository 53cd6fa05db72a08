"""Fine-tuning: a training that starts with the weights of another actor.

That actor's checkpoints are best, if they are still in the work folder: they contain the discriminator too, which has
learned what real pictures look like. Otherwise the published networks are used, whose weights were rounded to half
precision, and the discriminator starts with random weights. A checkpoint from before the first step is skipped. The
face comes from the same source as the body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from serving.actors.store import Actor, ActorStore, Padding
from serving.errors import BadInput
from serving.inference.onnx_weights import read_weights
from training.checkpoints.identity import fingerprint, of_the_body, padding_of
from training.checkpoints.store import Checkpoint, Checkpoints
from training.loop.body_learner import new_generator
from training.loop.face_learner import new_face_network
from training.loop.learner import Learner
from training.networks.discriminator import STORED_NAME
from training.presets import Preset

_NETWORK: Final = "network."
"""The prefix of the weights' names in a published file, which also contains the plate."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of another actor's network. discriminator: None without one. source: for the training record."""

    generator: dict[str, Tensor]
    discriminator: dict[str, Tensor] | None
    source: str
    padding: Padding


def checked_start(actor: str, preset: Preset, work_root: Path, store_root: Path) -> Padding:
    """The padding of the actor's networks, which a training must keep: weights fit only one padding.

    Raises early what the start of a training with this preset would raise.
    """
    weights = body_weights_of(actor, work_root, store_root)
    with torch.device("meta"):  # shapes alone
        body = new_generator(preset.generator)
        face = None if preset.face is None else new_face_network(preset.face)
    _check_shape(weights, body)
    of_face = None if face is None else face_weights_of(actor, weights.source, work_root, store_root)
    if face is not None and of_face is not None:
        _check_shape(of_face, face)
    return weights.padding


def body_weights_of(
    actor: str, work_root: Path, store_root: Path, on_note: Callable[[str], None] = lambda note: None
) -> Weights:
    """The weights of an actor's body. on_note: called about damaged checkpoints.

    Raises BadInput if there is no such actor, ActorUnusable if it cannot be read.
    """
    checkpoints = Checkpoints(work_root / actor / "body.pt", on_note)
    found = next((found for found in checkpoints.read() if found.pictures_seen), None)
    if found is not None:
        return _of_checkpoint(actor, found)
    store = ActorStore(store_root)
    versions = store.versions(actor)
    if not versions and not checkpoints.paths():
        raise BadInput(
            "from",
            f"there is no actor {actor!r} to start from: no checkpoint in {work_root}, no version in {store_root}",
        )
    if not versions:
        raise BadInput(
            "from",
            f"no checkpoint of {actor!r} in {work_root} can be used (each is damaged or not trained yet), and there is "
            f"no version in {store_root}",
        )
    published = store.load(actor, store.served(actor).version or versions[-1])
    if published.trained.get("bare_warp"):
        raise BadInput(
            "from",
            f"{actor} version {published.version} has only a wardrobe, and no trained network to start from",
        )
    return _published(published, published.generator_path, published.generator.padding)


def face_weights_of(
    actor: str,
    body_source: str,
    work_root: Path,
    store_root: Path,
    on_note: Callable[[str], None] = lambda note: None,
) -> Weights | None:
    """The weights of the face that belongs to an actor's body; None if there is none.

    For a published body, the face published with it. For a body's checkpoint, a face of the same training, which may
    have been trained on pictures from an earlier state of that body.
    body_source: the source of the body's weights. on_note: called about damaged checkpoints. Raises ActorUnusable.
    """
    store = ActorStore(store_root)
    for version in store.versions(actor):
        if body_source.startswith(_published_source(actor, version)):
            published = store.load(actor, version)
            face = published.face
            return None if face is None else _published(published, published.face_path, face.padding)
    checkpoints = Checkpoints(work_root / actor / "face.pt", on_note)
    for found in checkpoints.read():
        if found.pictures_seen and _training_of(found) in body_source:
            return _of_checkpoint(actor, found)
    return None


def start(learner: Learner, weights: Weights) -> None:
    """Give `learner` the weights. A discriminator of another shape starts with random ones, and the record says so.

    Raises BadInput, which names the difference, for a generator of another shape.
    """
    _check_shape(weights, learner.generator)
    discriminator, source = weights.discriminator, weights.source
    if discriminator is not None and _difference(discriminator, learner.discriminator.state_dict()):
        discriminator, source = None, f"{source}, without its discriminator, which has another shape"
    learner.start_from(weights.generator, discriminator, source)


def _of_checkpoint(actor: str, found: Checkpoint) -> Weights:
    source = f"{actor}'s checkpoint after {found.pictures_seen} pictures ({_training_of(found)})"
    return Weights(
        dict(found.learner["averaged"]), dict(found.learner[STORED_NAME]), source, padding_of(found.identity)
    )


def _training_of(found: Checkpoint) -> str:
    """Names the training; its body and its face have the same name."""
    return f"training {fingerprint(of_the_body(found.identity))}"


def _published(actor: Actor, path: Path, padding: Padding) -> Weights:
    weights = {
        name.removeprefix(_NETWORK): torch.from_numpy(value)
        for name, value in read_weights(path).items()
        if name.startswith(_NETWORK)
    }
    source = f"{_published_source(actor.id, actor.version)}, without its discriminator"
    return Weights(weights, None, source, padding)


def _published_source(actor: str, version: int) -> str:
    return f"{actor} version {version} as published"


def _check_shape(weights: Weights, network: nn.Module) -> None:
    differs = _difference(weights.generator, network.state_dict())
    if differs:
        raise BadInput(
            "from", f"{weights.source} is not a network of this preset: {differs}; use the preset it was trained with"
        )


def _difference(there: dict[str, Tensor], here: dict[str, Tensor]) -> str:
    for name in [*here, *(there.keys() - here.keys())]:
        shapes = [list(weights[name].shape) if name in weights else "missing" for weights in (there, here)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]} there and {shapes[1]} here"
    return ""
