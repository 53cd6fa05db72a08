"""Reads and checks the Content Credentials of any file, also of other software."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final

from provenance.credentials.certificate import is_self_made
from provenance.credentials.errors import UnreadableCredentials
from provenance.credentials.manifest import ASSERTION
from provenance.credentials.media_types import MEDIA_TYPES, OTHER_MEDIA_TYPE, sidecar_of

_STORE: Final = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""The type of the box that holds all credentials of a file (C2PA specification, "JUMBF types")."""
_PIECE_BYTES: Final = 2**20
_UNTRUSTED: Final = "signingCredential.untrusted"
_CHANGED: Final = ("assertion.bmffHash.mismatch", "assertion.dataHash.mismatch", "assertion.boxesHash.mismatch")


class State(Enum):
    """What Content Credentials are worth."""

    TRUSTED = "trusted"
    """Valid, and the signer's certificate leads to one of the given trust anchors."""
    VALID = "valid"
    """Signed, and the file was not changed since. Nothing vouches for the name of the signer."""
    CHANGED = "changed"
    """Signed, and the file was changed since."""
    INVALID = "invalid"
    """The credentials themselves are damaged or forged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """The Content Credentials of a file.

    signer, organisation: of the certificate. software: that made the claim. source_types: IPTC's digital source types,
    such as compositeWithTrainedAlgorithmicMedia. stated: what this software says of its files (see
    `provenance.credentials.manifest`); empty for files of other software. ingredients: title and whether the source has
    valid credentials of its own. faults: C2PA's codes of what is wrong. in_sidecar: whether a file beside it has them.
    """

    state: State
    signer: str
    organisation: str
    software: str
    source_types: tuple[str, ...] = ()
    stated: dict[str, Any] = field(default_factory=dict)
    ingredients: tuple[tuple[str, bool], ...] = ()
    faults: tuple[str, ...] = ()
    in_sidecar: bool = False

    @property
    def is_self_made(self) -> bool:
        """Whether the certificate was made by this software on first use, so that nothing vouches for the name."""
        return is_self_made(self.organisation)

    @property
    def says_synthetic(self) -> bool:
        """Whether they say that a trained network made the pictures or part of them."""
        return any("rainedAlgorithmicMedia" in source_type for source_type in self.source_types)


def read_credentials(path: Path, *, trust_anchors_pem: str = "") -> Credentials | None:
    """Return a file's Content Credentials, or None if it has none, in itself or in a sidecar.

    trust_anchors_pem: certificates of authorities that are trusted to name signers; without them no signer is. Raises
    UnreadableCredentials for a file that cannot be read.
    """
    import c2pa

    settings: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    if trust_anchors_pem:
        settings |= {"trust": {"user_anchors": trust_anchors_pem}}
    media_type, sidecar = MEDIA_TYPES.get(path.suffix.lower()), sidecar_of(path)
    try:
        context = c2pa.Context.from_dict(settings)
        with path.open("rb") as file:
            if media_type is not None:
                reader = c2pa.Reader.try_create(media_type, file, context=context)
            elif sidecar.is_file() and sidecar != path:
                reader = c2pa.Reader.try_create(OTHER_MEDIA_TYPE, file, sidecar.read_bytes(), context=context)
            else:
                return None
            if reader is None:
                return None
            with reader:
                return _credentials(json.loads(reader.json()), in_sidecar=media_type is None)
    except OSError as error:
        raise UnreadableCredentials(f"{path} cannot be read: {error.strerror or error}") from error
    except c2pa.C2paError as error:
        if not _mentions_c2pa(path):  # a container that the library cannot read, and that was never signed
            return None
        raise UnreadableCredentials(f"{path}: its Content Credentials cannot be read: {error}") from error


def _mentions_c2pa(path: Path) -> bool:
    """Whether a file contains the box of Content Credentials, even in a container that cannot be parsed."""
    rest = b""
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            if _STORE in rest + piece:
                return True
            rest = piece[-len(_STORE) :]
    return False


def _credentials(found: dict[str, Any], *, in_sidecar: bool) -> Credentials:
    manifest = found["manifests"].get(found.get("active_manifest", ""), {})
    signature = manifest.get("signature_info", {})
    faults = tuple(status["code"] for status in found.get("validation_status", ()) if status["code"] != _UNTRUSTED)
    actions = [
        action
        for assertion in manifest.get("assertions", ())
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"].get("actions", ())
    ]
    stated = [assertion["data"] for assertion in manifest.get("assertions", ()) if assertion["label"] == ASSERTION]
    generators = manifest.get("claim_generator_info") or [{}]
    software = " ".join(str(generators[0].get(name, "")) for name in ("name", "version")).strip()
    return Credentials(
        state=_state(str(found.get("validation_state", "")), faults),
        signer=str(signature.get("common_name", "")),
        organisation=str(signature.get("issuer", "")),
        software=software,
        source_types=tuple(str(action["digitalSourceType"]) for action in actions if "digitalSourceType" in action),
        stated=stated[0] if stated and isinstance(stated[0], dict) else {},
        ingredients=tuple(
            (str(ingredient.get("title", "")), _has_valid_credentials(ingredient))
            for ingredient in manifest.get("ingredients", ())
        ),
        faults=faults,
        in_sidecar=in_sidecar,
    )


def _has_valid_credentials(ingredient: dict[str, Any]) -> bool:
    found = ingredient.get("validation_results", {}).get("activeManifest", {}).get("failure", ())
    return "active_manifest" in ingredient and all(one["code"] == _UNTRUSTED for one in found)


def _state(state: str, faults: tuple[str, ...]) -> State:
    if any(fault in _CHANGED for fault in faults):
        return State.CHANGED
    if state == "Invalid":
        return State.INVALID
    return State.TRUSTED if state == "Trusted" else State.VALID
