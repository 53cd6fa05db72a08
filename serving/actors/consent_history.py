"""What happened to the consents of one actor: `<actors>/<id>/consent_history.jsonl`, one event a line, never changed.

    {"event": "recorded", "at": "2026-03-01T12:00:00+00:00", "versions": [1], "consents": ["<sha256>"], "by": "jo"}
    {"event": "revoked", "at": "...", "versions": [1, 2], "consents": [...], "whole_actor": true, "by": "...",
     "reason": "..."}
    {"event": "deleted", "at": "...", "versions": [1, 2], "footage": true, "by": "..."}

It contains neither pictures nor the words of a consent, and outlives the versions that it is about. Actors of earlier
releases have no such file: nothing happened to their consents.

A revocation of the whole actor holds for all versions that exist then. A version published later is only served with a
consent that was given on that day or later, and that is not one of those that were revoked.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from motion.documents import BadDocument, Fields, parsed, read_bounded
from serving.actors.actor_id import LAST_VERSION
from serving.actors.consent import ConsentRecord
from serving.process.atomic_files import written_whole

HISTORY_FILE: Final = "consent_history.jsonl"
MOST_REASON_CHARACTERS: Final = 500
"""A status has room for it: see `serving.rpc.error_status`."""
_MOST_BYTES: Final = 16 * 2**20
_MOST_TIME_CHARACTERS: Final = 40
_SHA256_CHARACTERS: Final = 64


class ConsentEventKind(StrEnum):
    """What happened."""

    RECORDED = "recorded"
    """A version was published with a consent."""
    REVOKED = "revoked"
    DELETED = "deleted"
    """The files of versions were deleted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentEvent:
    """One event.

    at: with a time zone. versions: those it is about. consents: their agreements, see `agreement`. whole_actor: for a
    revocation, whether it is of the actor rather than of single versions. footage: for a deletion, whether the prepared
    footage was deleted too.
    """

    kind: ConsentEventKind
    at: datetime
    versions: tuple[int, ...]
    consents: tuple[str, ...] = ()
    whole_actor: bool = False
    footage: bool = False
    by: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """When it happened, by whom and why, for people."""
        by = f" by {self.by}" if self.by else ""
        why = f": {self.reason}" if self.reason else ""
        return f"{self.kind} on {self.at.astimezone(UTC):%Y-%m-%d at %H:%M} UTC{by}{why}"


class ConsentHistory:
    """The events of one actor, in order."""

    def __init__(self, events: Sequence[ConsentEvent] = ()) -> None:
        self.events = tuple(events)
        self._revocations = [event for event in self.events if event.kind is ConsentEventKind.REVOKED]

    def revocation(self, version: int, consent: ConsentRecord | None = None) -> ConsentEvent | None:
        """Return the event that revokes a version; None if there is none.

        consent: of that version, which a later one needs: see this module. None looks at the number only.
        """
        for event in self._revocations:
            if version in event.versions:
                return event
        if consent is None:
            return None
        return self._revoking(consent, after=version)

    def refusal(self, consent: ConsentRecord) -> ConsentEvent | None:
        """Return the revocation that a new version with this consent would fall under; None if there is none."""
        return self._revoking(consent, after=LAST_VERSION)

    def deletion(self, version: int) -> ConsentEvent | None:
        """Return the last deletion of a version; None if there is none."""
        deletions = (event for event in reversed(self.events) if event.kind is ConsentEventKind.DELETED)
        return next((event for event in deletions if version in event.versions), None)

    @property
    def has_deletions(self) -> bool:
        """Whether any version was deleted."""
        return any(event.kind is ConsentEventKind.DELETED for event in self.events)

    @property
    def last_version(self) -> int:
        """The highest version that anything happened to; 0 if there is none. A new version gets a higher number."""
        return max((version for event in self.events for version in event.versions), default=0)

    def _revoking(self, consent: ConsentRecord, after: int) -> ConsentEvent | None:
        for event in self._revocations:
            if not event.whole_actor or after < max(event.versions, default=0):
                continue
            given_on, revoked_on = consent.given_on, event.at.astimezone(UTC).date()
            if given_on is None or given_on < revoked_on or agreement(consent) in event.consents:
                return event
        return None


def agreement(consent: ConsentRecord) -> str:
    """Return the SHA-256 of a consent without who recorded it: the same agreement, written down twice, has one."""
    return replace(consent, recorded_by="").sha256()


def read_history(home: Path) -> ConsentHistory:
    """Read the events of the actor in `home`. Raises OSError, and BadDocument, which names the line."""
    try:
        data = read_bounded(home / HISTORY_FILE, _MOST_BYTES)
    except FileNotFoundError:
        return ConsentHistory()
    events = []
    for number, line in enumerate(data.splitlines(), start=1):
        try:
            events.append(_from_json(Fields.of(parsed(line))))
        except ValueError as error:
            raise BadDocument(f"line {number}: {error}") from None
    return ConsentHistory(events)


def append_event(home: Path, event: ConsentEvent) -> None:
    """Add an event; readers see the file before or after it. Waits for others that add one.

    The file is written anew beside its place and renamed, so that a crash leaves no half line. Raises OSError, and
    BadDocument for an event that no reader would accept, or a file that is too large.
    """
    line = json.dumps(_to_json(event), ensure_ascii=False)
    _from_json(Fields.of(parsed(line)))
    with _locked(home):
        try:
            before = read_bounded(home / HISTORY_FILE, _MOST_BYTES)
        except FileNotFoundError:
            before = b""
        if before and not before.endswith(b"\n"):
            before += b"\n"
        with written_whole(home / HISTORY_FILE) as partial:
            partial.write_bytes(before + line.encode() + b"\n")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # a lock file would be one more thing to delete
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _to_json(event: ConsentEvent) -> dict[str, Any]:
    document: dict[str, Any] = {
        "event": event.kind.value,
        "at": event.at.astimezone(UTC).isoformat(timespec="seconds"),
        "versions": list(event.versions),
    }
    if event.consents:
        document["consents"] = list(event.consents)
    for name in ("whole_actor", "footage", "by", "reason"):
        if getattr(event, name):
            document[name] = getattr(event, name)
    return document


def _from_json(stored: Fields) -> ConsentEvent:
    kinds = ", ".join(ConsentEventKind)
    kind: str = stored.value("event", kinds, lambda value: isinstance(value, str) and value in list(ConsentEventKind))
    consents: list[Any] = stored.value("consents", "a list", lambda value: isinstance(value, list), default=[])
    text: str = stored.text("at", _MOST_TIME_CHARACTERS)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.min
    if at.tzinfo is None:
        raise stored.unexpected("at", "a time with its zone, such as 2026-03-01T12:00:00+00:00", text)
    for consent in consents:
        if not isinstance(consent, str) or len(consent) != _SHA256_CHARACTERS:
            raise stored.unexpected("consents", "SHA-256 sums in hexadecimal", consent)
    return ConsentEvent(
        kind=ConsentEventKind(kind),
        at=at,
        versions=stored.wholes("versions", 1, LAST_VERSION),
        consents=tuple(consents),
        whole_actor=stored.flag("whole_actor", default=False),
        footage=stored.flag("footage", default=False),
        by=_optional_text(stored, "by"),
        reason=_optional_text(stored, "reason"),
    )


def _optional_text(stored: Fields, name: str) -> str:
    return stored.text(name, MOST_REASON_CHARACTERS) if stored.has(name) else ""
