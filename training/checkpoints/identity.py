"""What a checkpoint belongs to: a training with another recipe, seed or footage must not go on with its weights.

A body's checkpoint has the face's recipe in it too, which is not asked about: see `of_the_body`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from motion.labelmap import LABEL_MAP_VERSION
from serving.actors.store import Padding
from serving.errors import BadInput
from training.presets import Preset

_PADDING_OF_THE_BODY = "preset.generator_padding"
_NOT_THE_RECIPE = ("name", "minutes", "epochs")
BODY_OF_THE_FACE = "face of a body of"
"""Its value says how far the body was trained that this face belongs to."""
_OF_THE_FACE = ("preset.face", BODY_OF_THE_FACE)
AS_EVER = {
    "preset.face_frames": "1500",
    "preset.face_padding": "reflection",
    "preset.feature_matching": "mean",
    _PADDING_OF_THE_BODY: "reflection",
}
"""What older checkpoints do not name, with the values of their trainings: said only where they differ."""

Identity = Mapping[str, str]
"""Values by their names, which people read when they differ."""
Concern = Callable[[Identity], Identity]
"""The part of an identity that a checkpoint has to have in common with whoever goes on with it."""


def recipe_identity(preset: Preset, seed: int, footage: str) -> dict[str, str]:
    """Of the recipe without its length: more of it trains further. footage: its name in the work folder."""
    recipe = asdict(preset)
    for network in ("generator", "face"):
        if recipe[network] is not None:
            recipe[f"{network}_padding"] = recipe[network].pop("padding")
    said = {f"preset.{name}": str(value) for name, value in recipe.items() if name not in _NOT_THE_RECIPE}
    identity = {"footage": footage, "seed": str(seed), "label map": str(LABEL_MAP_VERSION)}
    return identity | {name: value for name, value in said.items() if AS_EVER.get(name) != value}


def padding_of(identity: Identity) -> Padding:
    """Of the networks that this training has begun to train."""
    return "zeros" if identity.get(_PADDING_OF_THE_BODY) == "zeros" else "reflection"


def all_of_it(identity: Identity) -> Identity:
    """The whole identity."""
    return identity


def of_the_body(identity: Identity) -> Identity:
    """Without what only the face's training has: a body that is there gets a face network, or another one.

    Of a body's identity and of its faces' this leaves the same.
    """
    return {name: value for name, value in identity.items() if not name.startswith(_OF_THE_FACE)}


def fingerprint(identity: Identity) -> str:
    """16 hexadecimal digits that tell this identity from others."""
    return sha256(repr(sorted(identity.items())).encode()).hexdigest()[:16]


def refuse_another(stored: Identity, asked: Identity, folder: Path) -> None:
    """Raises BadInput where a value of `asked` is another one in `stored`, and says which, and the ways out.

    Both are what one concern leaves of an identity.
    """
    # Both ways: a value that is as ever is said by neither, and one that is not may be said by one of them.
    asked = {name: AS_EVER[name] for name in stored if name in AS_EVER} | dict(asked)
    differences = [
        f"{name} is {there} there and {value} here"
        for name, value in asked.items()
        if (there := stored.get(name, AS_EVER.get(name, "unknown"))) != value
    ]
    if differences:
        more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
        raise BadInput(
            "work",
            f"{folder} holds another training: {'; '.join(differences[:3])}{more}. "
            "Choose another --work folder, or delete that folder",
        )
