"""What the Content Credentials of a file say, as the manifest that `c2pa-python` signs."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SOFTWARE: Final = "Everybody Dance"
ASSERTION: Final = "org.everybody-dance.synthetic"
_SOURCE_TYPES: Final = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SYNTHETIC: Final = f"{_SOURCE_TYPES}compositeWithTrainedAlgorithmicMedia"
"""IPTC's term for media that a trained network made part of: the person is drawn, the place is filmed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticMedia:
    """The facts about pictures of an actor that are signed.

    actor_version: 0 if it is not known. consent_sha256: of the actor's consent record, in hexadecimal; empty if it is
    not known. server_version: of the server that drew them; empty for pictures that no server drew. watermark_key_id:
    None for pictures without a watermark. label: burned into them; empty for none. sources: files that drove the actor;
    they become ingredients, with their own Content Credentials if they have any. source_name: how people call the
    source, which may be a camera.
    """

    actor: str
    actor_version: int
    consent_sha256: str = ""
    server_version: str = ""
    watermark_key_id: int | None = None
    label: str = ""
    sources: tuple[Path, ...] = ()
    source_name: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return everything but the sources, for a file that is signed later."""
        values = dataclasses.asdict(self)
        del values["sources"]
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any], sources: tuple[Path, ...] = ()) -> SyntheticMedia:
        """Restore what `to_json` returned, with these sources. Raises TypeError for other values."""
        return cls(**values, sources=sources)

    def assertions(self, version: str) -> list[dict[str, Any]]:
        """Return what is said about the file. version: of this software."""
        created = {
            "action": "c2pa.created",
            "digitalSourceType": SYNTHETIC,
            "softwareAgent": {"name": SOFTWARE, "version": self.server_version or version},
            "description": f"The actor {self.actor} is drawn by a network that was trained on footage of them.",
        }
        stated = {
            "actor": self.actor,
            "actor_version": self.actor_version,
            "consent_sha256": self.consent_sha256,
            "source": printable(self.source_name),
            "watermark_key": None if self.watermark_key_id is None else f"{self.watermark_key_id:04x}",
            "label": self.label,
        }
        return [
            {"label": "c2pa.actions", "data": {"actions": [created]}},
            {"label": ASSERTION, "data": stated},
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class DrawnOver:
    """The facts about real footage with something drawn over it, such as a skeleton. what: the words for it."""

    what: str
    sources: tuple[Path, ...] = ()

    def assertions(self, version: str) -> list[dict[str, Any]]:
        """Return what is said about the file. version: of this software."""
        edited = {
            "action": "c2pa.edited",
            "softwareAgent": {"name": SOFTWARE, "version": version},
            "description": self.what,
        }
        created = {"action": "c2pa.created", "digitalSourceType": f"{_SOURCE_TYPES}composite"}
        return [{"label": "c2pa.actions", "data": {"actions": [created, edited]}}]


def printable(name: str) -> str:
    """Return a file's name with escapes for bytes that are not valid Unicode, which JSON cannot hold."""
    return name.encode(errors="backslashreplace").decode()


Facts = SyntheticMedia | DrawnOver


def manifest_of(facts: Facts, title: str, version: str) -> dict[str, Any]:
    """Return the manifest of a file. title: its name. version: of this software."""
    return {
        "claim_generator_info": [{"name": SOFTWARE, "version": version}],
        "title": printable(title),
        "assertions": facts.assertions(version),
    }
