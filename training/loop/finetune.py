"""Fine-tuning: a training that begins with the weights of another actor.

Best are that actor's checkpoints, where they are still in the work folder: they hold the discriminator too, which knows
what real pictures look like. Else the published networks are taken, whose weights were rounded to half precision, and
the discriminator begins anew. A checkpoint from before the first step is nothing to start from, and passed over. The
face comes from where the body came from.
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
from training.presets import Preset

_NETWORK: Final = "network."
"""Ahead of the names of weights in a published file; beside them lies the plate."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a network of another actor. judge: None where it is not to be had. source: for the training record."""

    generator: dict[str, Tensor]
    judge: dict[str, Tensor] | None
    source: str
    padding: Padding


def checked_start(actor: str, preset: Preset, work_root: Path, store_root: Path) -> Padding:
    """The padding of the actor's networks, which a training has to keep: weights are good for one alone.

    Raises what the start of a training with this preset will raise, before anything has been spent on it.
    """
    weights = body_weights_of(actor, work_root, store_root)
    with torch.device("meta"):  # shapes alone
        body = new_generator(preset.generator)
        face = None if preset.face is None else new_face_network(preset.face)
    _check_form(weights, body)
    of_face = None if face is None else face_weights_of(actor, weights.source, work_root, store_root)
    if face is not None and of_face is not None:
        _check_form(of_face, face)
    return weights.padding


def body_weights_of(
    actor: str, work_root: Path, store_root: Path, on_note: Callable[[str], None] = lambda note: None
) -> Weights:
    """The weights of an actor's body. on_note: told of checkpoints that are damaged.

    Raises BadInput where there is no such actor, ActorUnusable for one that cannot be read.
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
            f"no checkpoint of {actor!r} in {work_root} can be used, being damaged or not trained yet, and no version "
            f"is in {store_root}",
        )
    published = store.load(actor, store.served(actor).version or versions[-1])
    return _published(published, published.generator_path, published.generator.padding)


def face_weights_of(
    actor: str,
    body_source: str,
    work_root: Path,
    store_root: Path,
    on_note: Callable[[str], None] = lambda note: None,
) -> Weights | None:
    """The weights of the face that belongs to an actor's body; None where there is none.

    Where the body was published, the face beside it. Where it was a checkpoint, a face of the same training, which may
    have been trained on what an earlier state of that body drew.
    body_source: of the body's weights. on_note: told of checkpoints that are damaged. Raises ActorUnusable.
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
    """Gives `learner` the weights. A discriminator of another form begins anew, which the record then says.

    Raises BadInput, which names what differs, for a generator of another form.
    """
    _check_form(weights, learner.generator)
    judge, source = weights.judge, weights.source
    if judge is not None and _difference(judge, learner.judge.state_dict()):
        judge, source = None, f"{source}, without its discriminator, which is of another form"
    learner.start_from(weights.generator, judge, source)


def _of_checkpoint(actor: str, found: Checkpoint) -> Weights:
    source = f"{actor}'s checkpoint after {found.pictures_seen} pictures ({_training_of(found)})"
    return Weights(dict(found.learner["averaged"]), dict(found.learner["judge"]), source, padding_of(found.identity))


def _training_of(found: Checkpoint) -> str:
    """Tells a training from others, in the same words for its body and its face."""
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


def _check_form(weights: Weights, network: nn.Module) -> None:
    differs = _difference(weights.generator, network.state_dict())
    if differs:
        raise BadInput("from", f"{weights.source} is another network than this preset's: {differs}; take its preset")


def _difference(there: dict[str, Tensor], here: dict[str, Tensor]) -> str:
    for name in [*here, *(there.keys() - here.keys())]:
        shapes = [list(weights[name].shape) if name in weights else "missing" for weights in (there, here)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]} there and {shapes[1]} here"
    return ""
