"""Fine-tuning: a training that begins with the weights of another actor.

Best are that actor's checkpoints, where they are still in the work folder: they hold the discriminator too, which knows
what real pictures look like. Else the published networks are taken, whose weights were rounded to half precision, and
the discriminator begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from serving.actors import ActorStore
from serving.errors import BadInput
from serving.weights import read_weights
from training.checkpoints import Checkpoints
from training.learner import Learner

_NETWORK: Final = "network."
"""Ahead of the names of weights in a published file; beside them lies the plate."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Of a network of another actor. judge: None where it is not to be had. source: for the training record."""

    generator: dict[str, Tensor]
    judge: dict[str, Tensor] | None
    source: str


def checked_start(actor: str, work_root: Path, store_root: Path) -> None:
    """Raises BadInput where there is no such actor to start from, in either folder."""
    if not (work_root / actor / "body.pt").is_file() and not ActorStore(store_root).versions(actor):
        raise BadInput(
            "from",
            f"there is no actor {actor!r} to start from: no checkpoint in {work_root}, no version in {store_root}",
        )


def weights_of(actor: str, stage: str, work_root: Path, store_root: Path) -> Weights | None:
    """The weights of one stage, "body" or "face", of an actor; None for a face that it does not have.

    Raises BadInput where there is no such actor, ActorUnusable for one that cannot be read.
    """
    found = Checkpoints(work_root / actor / f"{stage}.pt").newest()
    if found is not None:
        source = f"{actor}'s checkpoint after {found.pictures_seen} pictures"
        return Weights(dict(found.learner["averaged"]), dict(found.learner["judge"]), source)
    store = ActorStore(store_root)
    if not store.versions(actor):
        checked_start(actor, work_root, store_root)
        if stage == "face":
            return None
        raise BadInput(
            "from", f"no checkpoint of {actor!r} in {work_root} can be used, and no version is in {store_root}"
        )
    published = store.load(actor, store.served(actor).version or store.versions(actor)[-1])
    if stage == "face" and published.face is None:
        return None
    path = published.generator_path if stage == "body" else published.face_path
    weights = {
        name.removeprefix(_NETWORK): torch.from_numpy(value)
        for name, value in read_weights(path).items()
        if name.startswith(_NETWORK)
    }
    return Weights(weights, None, f"{actor} version {published.version} as published, without its discriminator")


def start(learner: Learner, weights: Weights) -> None:
    """Gives `learner` the weights. A discriminator of another form begins anew, which the record then says.

    Raises BadInput, which names what differs, for a generator of another form.
    """
    differs = _difference(weights.generator, learner.generator.state_dict())
    if differs:
        raise BadInput("from", f"{weights.source} is another network than this preset's: {differs}; take its preset")
    judge, source = weights.judge, weights.source
    if judge is not None and _difference(judge, learner.judge.state_dict()):
        judge, source = None, f"{source}, without its discriminator, which is of another form"
    learner.start_from(weights.generator, judge, source)


def _difference(there: dict[str, Tensor], here: dict[str, Tensor]) -> str:
    for name in [*here, *(there.keys() - here.keys())]:
        shapes = [list(weights[name].shape) if name in weights else "missing" for weights in (there, here)]
        if shapes[0] != shapes[1]:
            return f"{name} is {shapes[0]} there and {shapes[1]} here"
    return ""
