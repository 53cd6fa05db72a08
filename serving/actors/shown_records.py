"""What lists of actors show of their records: the consent, when a version was trained, and its scores.

`trained` and `scores` of actor.json are records for people; releases and presets differ in what they write there. What
is missing or of another kind is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from serving.actors.actor import Actor
from serving.actors.consent import ConsentRecord

_LATEST_S: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
"""A message cannot hold much later times."""

_SHOWN_SCORES: Final = {
    "sharpness": ("held_out", "sharpness"),
    "face_ssim": ("held_out", "face_ssim"),
    "body_ssim": ("held_out", "body_ssim"),
    "pose_distance": ("pose_distance", "distance"),
    "flicker": ("flicker", "ratio"),
}
"""The name in lists, and where the score is stored."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedConsent:
    """The record of a consent, as actor.proto explains it. ended_because: why it does not hold; empty if it does."""

    who: str = ""
    given_on: str = ""
    uses: tuple[str, ...] = ()
    until: str = ""
    recorded_by: str = ""
    sha256: str = ""
    ended_because: str = ""

    @classmethod
    def of(cls, record: ConsentRecord | None, ended_because: str = "") -> ListedConsent | None:
        """Return what lists show of a record; None if none is stated."""
        if record is None or not record.is_stated:
            return None
        return cls(
            who=record.who,
            given_on="" if record.given_on is None else record.given_on.isoformat(),
            uses=tuple(record.uses),
            until="" if record.until is None else record.until.isoformat(),
            recorded_by=record.recorded_by,
            sha256=record.sha256(),
            ended_because=ended_because,
        )


def trained_at_s(actor: Actor) -> float | None:
    """Return when the version was trained, in seconds since 1970; None if its record does not say."""
    stored = actor.trained.get("trained_at")
    if not isinstance(stored, str):
        return None
    try:
        moment = datetime.fromisoformat(stored)
    except ValueError:
        return None
    seconds = -1.0 if moment.tzinfo is None else moment.timestamp()
    return seconds if 0 <= seconds <= _LATEST_S else None


def shown_scores(actor: Actor) -> dict[str, float]:
    """Return the scores that mean something on their own, by name; actor.proto explains them."""
    found = {name: _number(actor.scores, *place) for name, place in _SHOWN_SCORES.items()}
    return {name: value for name, value in found.items() if value is not None}


def _number(scores: Mapping[str, Any], group: str, name: str) -> float | None:
    stored = scores.get(group)
    value = stored.get(name) if isinstance(stored, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
