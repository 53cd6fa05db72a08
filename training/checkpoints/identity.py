"""The identity of a training: one with another recipe, seed or footage must not resume from its checkpoints.

A body's checkpoint contains the face's recipe too, which is not compared: see `of_the_body`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path

from motion.labelmap import LABEL_MAP_VERSION
from motion.wardrobe.pieces import WARDROBE_VERSION
from serving.actors.store import Padding
from serving.errors import BadInput
from training.presets import Preset

_PADDING_OF_THE_BODY = "preset.generator_padding"
_NOT_THE_RECIPE = ("name", "minutes", "pictures", "epochs")
BODY_OF_THE_FACE = "face of a body of"
"""Its value is the amount of training of the body that this face belongs to."""
_OF_THE_FACE = ("preset.face", BODY_OF_THE_FACE)
AS_EVER = {
    "preset.face_frames": "1500",
    "preset.face_padding": "reflection",
    "preset.feature_matching": "mean",
    "preset.references": "None",
    _PADDING_OF_THE_BODY: "reflection",
}
"""Values that older checkpoints do not name, since their trainings all had them: stored only if they differ."""

Identity = Mapping[str, str]
"""Values by name; an error message shows those that differ."""
Concern = Callable[[Identity], Identity]
"""Selects the part of an identity that must be equal to resume from a checkpoint."""


def recipe_identity(preset: Preset, seed: int, footage: str) -> dict[str, str]:
    """The identity of a recipe, without its length, so that more of it trains further. footage: its folder's name."""
    recipe = asdict(preset)
    for network in ("generator", "face"):
        if recipe[network] is not None:
            recipe[f"{network}_padding"] = recipe[network].pop("padding")
            if not recipe[network]["reference"]:
                del recipe[network]["reference"]
    said = {f"preset.{name}": str(value) for name, value in recipe.items() if name not in _NOT_THE_RECIPE}
    identity = {"footage": footage, "seed": str(seed), "label map": str(LABEL_MAP_VERSION)}
    if preset.references is not None:
        identity["wardrobe"] = str(WARDROBE_VERSION)
    return identity | {name: value for name, value in said.items() if AS_EVER.get(name) != value}


def padding_of(identity: Identity) -> Padding:
    """The padding of the networks in this training."""
    return "zeros" if identity.get(_PADDING_OF_THE_BODY) == "zeros" else "reflection"


def of_the_body(identity: Identity) -> Identity:
    """The identity without what concerns only the face, so that an existing body can get a face network, or another.

    The result is the same for the identities of a body and of its faces.
    """
    return {name: value for name, value in identity.items() if not name.startswith(_OF_THE_FACE)}


def fingerprint(identity: Identity) -> str:
    """A fingerprint of 16 hexadecimal digits."""
    return sha256(repr(sorted(identity.items())).encode()).hexdigest()[:16]


def refuse_another(stored: Identity, asked: Identity, folder: Path) -> None:
    """Raise BadInput, with the differences and the ways out, if a value of `asked` differs in `stored`.

    Both are the same part of an identity, selected by one `Concern`.
    """
    # Compare both ways: a value in AS_EVER is stored by neither side, and a differing one possibly by only one.
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
            "Repeat the options of that training (such as --preset), or choose another --work folder",
        )
