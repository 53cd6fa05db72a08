"""Whether the consent of the person that a file shows allows its use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from client.connection.types import ActorListing
from serving.actors.consent import Use
from serving.actors.shown_records import ListedConsent


class Permission(Enum):
    """What the record says about a use."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"
    """There is no record here, or it has only words, which a person must read."""


@dataclass(frozen=True, slots=True)
class CheckedConsent:
    """What was found about the consent. actor: empty if the file names none. record: None if none was found.

    is_the_same: whether it is the record that the file was made under; None if that cannot be said. words: for people.
    """

    permission: Permission
    words: str
    actor: str = ""
    version: int = 0
    record: ListedConsent | None = None
    is_the_same: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "allowed": self.permission.value,
            "words": self.words,
            "actor": self.actor,
            "actor_version": self.version,
            "uses": None if self.record is None else list(self.record.uses),
            "until": None if self.record is None else self.record.until or None,
            "ended_because": None if self.record is None else self.record.ended_because or None,
            "same_record": self.is_the_same,
        }


def checked_consent(stated: Mapping[str, Any], known: Sequence[ActorListing] | None, use: Use | None) -> CheckedConsent:
    """Return what the record says.

    stated: what a file's valid credentials state; empty if it has none. known: the actors that are listed here or by a
    server; None if no list was requested. use: what is wanted; None asks only whether the consent still holds.
    """
    actor, version = str(stated.get("actor", "")), _whole(stated.get("actor_version"))
    if not actor:
        return CheckedConsent(Permission.UNKNOWN, "not checked: no valid credentials name an actor")
    if known is None:
        where = "name a server with --server, or a folder with --actors"
        return CheckedConsent(Permission.UNKNOWN, f"not checked: {where}", actor, version)
    listed = [one for one in known if one.actor == actor and one.version == version]
    if not listed:
        return CheckedConsent(Permission.UNKNOWN, "no record: this actor's version is not here", actor, version)
    record, digest = listed[0].consent_record, str(stated.get("consent_sha256", ""))
    if record is None:
        return CheckedConsent(Permission.UNKNOWN, "no record: the actor has none, or its server is old", actor, version)
    same = record.sha256 == digest if digest and record.sha256 else None
    permission, words = _judged(record, use)
    if same is False:  # the consent of a version never changes
        permission = Permission.UNKNOWN
        words = "not known: an actor of this name and version is here, but it has another consent than the file names"
    return CheckedConsent(permission, words, actor, version, record, same)


def _judged(record: ListedConsent, use: Use | None) -> tuple[Permission, str]:
    until = f" until {record.until}" if record.until else ""
    if record.ended_because:
        return Permission.NO, record.ended_because
    if use is None:
        given_for = f" for {', '.join(record.uses)} use" if record.uses else ""
        return Permission.YES, f"it holds{given_for}{until}"
    if use.value in record.uses:
        return Permission.YES, f"it allows {use.value} use{until}"
    if record.uses:
        return Permission.NO, f"it does not allow {use.value} use, only {', '.join(record.uses)}"
    return Permission.UNKNOWN, f"it names no uses: read its words to see whether {use.value} use is meant"


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
