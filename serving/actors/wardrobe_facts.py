"""The facts of a wardrobe in actor.json."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from motion.documents import Fields
from motion.wardrobe.pieces import FACINGS, WARDROBE_VERSION, Wardrobe
from motion.wardrobe.storage import MOST_KEY_FRAMES_READ
from serving.actors.actor_id import LAST_VERSION


@dataclass(frozen=True, slots=True)
class WardrobeFacts:
    """The facts of a wardrobe that can be known without reading it.

    version: of the limbs and their moves; a server draws only `WARDROBE_VERSION`. facings: which of "front", "left",
    "right" and "back" its key frames show.
    """

    version: int
    key_frames: int
    facings: tuple[str, ...]

    @classmethod
    def of(cls, wardrobe: Wardrobe) -> WardrobeFacts:
        """Return the facts of a wardrobe of this version."""
        return cls(WARDROBE_VERSION, wardrobe.key_frames, wardrobe.facings())

    @classmethod
    def from_fields(cls, stored: Fields) -> WardrobeFacts:
        """Read what `to_dict` returned. Raises BadDocument, naming the field."""
        stored.only("version", "key_frames", "facings")
        facings = stored.value("facings", f"a list of {', '.join(FACINGS)}", lambda value: isinstance(value, list))
        for index, facing in enumerate(facings):
            if facing not in FACINGS:
                raise stored.unexpected(f"facings[{index}]", f"one of {', '.join(FACINGS)}", facing)
        return cls(
            version=stored.whole("version", 0, LAST_VERSION),
            key_frames=stored.whole("key_frames", 1, MOST_KEY_FRAMES_READ),
            facings=tuple(facings),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for actor.json."""
        return {"version": self.version, "key_frames": self.key_frames, "facings": list(self.facings)}
