"""The consent of the person that an actor shows: who agreed, when, to what, and until when.

actor.json has it twice. `consent_record` is the record. `consent` is a text for people and earlier releases: "not
stated" if the record states nothing. If the two differ, the record counts. An actor without a record was published by
such a release: its text becomes a record with nothing but `words`. A record that is null states nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, fields
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any, Final

from motion.documents import BadDocument, Fields, shortened

NOT_STATED: Final = "not stated"
MOST_CONSENT_CHARACTERS: Final = 100_000
MOST_NAME_CHARACTERS: Final = 200
MOST_TEXT_CHARACTERS: Final = 2000
"""Of the text for people. A list has many actors, and a whole consent may be longer than a message."""

_DATE: Final = "a date such as 2027-12-31"
_SAYS_NOTHING: Final = frozenset({"", NOT_STATED, "none", "n a", "na"})
_BETWEEN_WORDS: Final = re.compile(r"[\W_]+")


class Use(StrEnum):
    """What a person may have agreed to; everything else is said in words."""

    PRIVATE = "private"
    """Among the people who were there, without publishing anything."""
    RESEARCH = "research"
    PUBLIC = "public"
    """Results may be shown to everybody."""
    COMMERCIAL = "commercial"
    """Results may earn money."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsentRecord:
    """One person's consent to one actor. Raises ValueError, which names the field.

    who: the person who agreed, or who speaks for them. given_on: None if it is not known. uses: what it is for, in the
    order of `Use`; empty if only the words say so. until: the last day on which it holds, in UTC; None for no end.
    recorded_by: who wrote it down; two records that differ only in this are equal. words: as people wrote it.
    """

    who: str = ""
    given_on: date | None = None
    uses: tuple[Use, ...] = ()
    until: date | None = None
    recorded_by: str = field(default="", compare=False)
    words: str = ""

    def __post_init__(self) -> None:
        for name, most in (
            ("who", MOST_NAME_CHARACTERS),
            ("recorded_by", MOST_NAME_CHARACTERS),
            ("words", MOST_CONSENT_CHARACTERS),
        ):
            text: str = getattr(self, name)
            if len(text) > most:
                raise ValueError(f"{name}: expected at most {most} characters, got {len(text)}")
            if not _is_unicode(text):
                raise ValueError(f"{name}: expected valid Unicode, got {shortened(text)}")
        object.__setattr__(self, "uses", tuple(use for use in Use if use in self.uses))
        if self.given_on is not None and self.until is not None and self.until < self.given_on:
            raise ValueError(f"until: expected {self.given_on} or later, when it was given, got {self.until}")

    @classmethod
    def of_text(cls, text: str) -> ConsentRecord:
        """Return a record with nothing but words, of a command line or an old actor. Raises ValueError if too long.

        Bytes of a command line that are not valid Unicode become escapes.
        """
        return cls(words=text.encode(errors="backslashreplace").decode())

    @classmethod
    def from_json(cls, stored: Fields) -> ConsentRecord:
        """Read a record of actor.json or of a file. Every field may be missing. Raises BadDocument."""
        stored.only(*(one.name for one in fields(cls)))
        uses: list[Any] = []
        if stored.has("uses"):
            uses = stored.value("uses", f"a list of {', '.join(Use)}", lambda value: isinstance(value, list))
        try:
            return cls(
                who=_text(stored, "who", MOST_NAME_CHARACTERS),
                given_on=_date(stored, "given_on"),
                uses=tuple(_use(stored, use) for use in uses),
                until=_date(stored, "until"),
                recorded_by=_text(stored, "recorded_by", MOST_NAME_CHARACTERS),
                words=_text(stored, "words", MOST_CONSENT_CHARACTERS),
            )
        except BadDocument:
            raise
        except ValueError as error:
            raise BadDocument(f"{stored.where}{error}") from None

    def to_json(self) -> dict[str, Any]:
        """Return all fields for JSON; dates as in ISO 8601."""
        return {
            "who": self.who,
            "given_on": None if self.given_on is None else self.given_on.isoformat(),
            "uses": [use.value for use in self.uses],
            "until": None if self.until is None else self.until.isoformat(),
            "recorded_by": self.recorded_by,
            "words": self.words,
        }

    def canonical_json(self) -> str:
        """Return the one JSON text of this record: names sorted, no white space, not escaped. `sha256` hashes it."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def sha256(self) -> str:
        """Return the SHA-256 of the canonical JSON in UTF-8, in hexadecimal."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()

    @property
    def is_stated(self) -> bool:
        """Whether it says to what somebody agreed, in words or as a person and uses.

        Words such as "not stated", "none" or "-" say nothing. A record of them that names a person and uses contradicts
        itself, and states nothing.
        """
        return not self.is_denied and (bool(self.words.strip()) or bool(self.who.strip() and self.uses))

    @property
    def is_denied(self) -> bool:
        """Whether its words say that no consent is stated. Blank words do not."""
        return bool(self.words.strip()) and _BETWEEN_WORDS.sub(" ", self.words.casefold()).strip() in _SAYS_NOTHING

    @property
    def names_terms(self) -> bool:
        """Whether it says anything beside its words and who recorded them."""
        return bool(self.who.strip() or self.given_on or self.uses or self.until)

    def has_ended(self, at: datetime) -> bool:
        """Whether the last day of the consent is over at a time, which has a time zone."""
        return self.until is not None and at.astimezone(UTC).date() > self.until

    @property
    def text(self) -> str:
        """The consent for people, cut after 2000 characters, which an ellipsis shows. Mere words are as they are."""
        given = ", ".join(filter(None, (self.who, "" if self.given_on is None else str(self.given_on))))
        terms = "; ".join(filter(None, (", ".join(self.uses), "" if self.until is None else f"until {self.until}")))
        said = ": ".join(filter(None, (given, self.words)))
        line = f"{said} ({terms})" if terms else said
        return line if len(line) <= MOST_TEXT_CHARACTERS else f"{line[: MOST_TEXT_CHARACTERS - 1]}…"


def parsed_date(text: str) -> date:
    """Return the date that a person wrote as 2027-12-31. Raises ValueError, which says so."""
    try:
        if len(text) != len("2027-12-31"):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"expected {_DATE}, got {shortened(text)}") from None


def parsed_use(text: str) -> Use:
    """Return the use of this name. Raises ValueError, which lists them."""
    if text not in list(Use):
        raise ValueError(f"expected {', '.join(Use)}, got {shortened(text)}")
    return Use(text)


def _text(stored: Fields, name: str, most_characters: int) -> str:
    return stored.text(name, most_characters) if stored.has(name) else ""


def _date(stored: Fields, name: str) -> date | None:
    if not stored.has(name):
        return None
    text: str = stored.value(name, _DATE, lambda value: isinstance(value, str))
    try:
        return parsed_date(text)
    except ValueError as error:
        raise stored.error(name, str(error)) from None


def _use(stored: Fields, value: object) -> Use:
    if not isinstance(value, str):
        raise stored.unexpected("uses", ", ".join(Use), value)
    try:
        return parsed_use(value)
    except ValueError as error:
        raise stored.error("uses", str(error)) from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
