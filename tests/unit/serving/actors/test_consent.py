"""Records of consent: what is refused, how they are stored, and what actors of earlier releases become."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from motion.documents import Fields
from serving.actors.consent import ConsentRecord, Use
from serving.actors.store import METADATA_FILE, ActorStore
from serving.errors import ActorUnusable, NoConsent
from tests.tiny_actors import publish_tiny

ANNA = ConsentRecord(
    who="Anna K.",
    given_on=date(2026, 3, 1),
    uses=(Use.PRIVATE, Use.RESEARCH),
    until=date(2027, 12, 31),
    recorded_by="jo",
    words="to dancing in our lab",
)


def test_a_record_survives_json():
    """All fields come back, and the hash is the same on every machine."""
    stored = json.loads(json.dumps(ANNA.to_json()))
    read = ConsentRecord.from_json(Fields.of(stored))
    assert (read, read.recorded_by) == (ANNA, "jo")
    assert read.sha256() == "6cf5b34bcec8170d4b988eeac24b0254a6429c44f16c2fdc5b4a6be34b10fe23"
    assert ANNA.canonical_json().startswith('{"given_on":"2026-03-01","recorded_by":"jo","until":"2027-12-31","uses":[')


def test_the_text_says_everything_except_who_wrote_it_down():
    """Words alone stay as they are."""
    assert ANNA.text == "Anna K., 2026-03-01: to dancing in our lab (private, research; until 2027-12-31)"
    assert ConsentRecord.of_text("me, today").text == "me, today"
    long = ConsentRecord.of_text("ё" * 2001)
    assert long.text == "ё" * 1999 + "…"


def test_the_same_agreement_is_equal_with_another_recorder():
    """The sum of the whole record differs."""
    other = replace(ANNA, recorded_by="max")
    assert other == ANNA
    assert other.sha256() != ANNA.sha256()


@pytest.mark.parametrize(
    "text",
    ["", "  ", "not stated", " Not stated ", "Not stated.", "not_stated", "none", "None!", "n/a", "N.A.", "-", "…"],
)
def test_words_that_say_nothing_state_nothing(text: str):
    """Neither do they with a person and uses, which they contradict; a record with blank words has only those."""
    assert not ConsentRecord.of_text(text).is_stated
    assert ConsentRecord(words=text, who="Anna", uses=(Use.PUBLIC,)).is_stated is not bool(text.strip())


@pytest.mark.parametrize(
    "record", [ConsentRecord.of_text("me"), ConsentRecord(who="Anna", uses=(Use.PUBLIC,)), ANNA], ids=str
)
def test_words_or_a_person_with_a_use_state_a_consent(record: ConsentRecord):
    """A name alone does not: it does not say to what."""
    assert record.is_stated
    assert not ConsentRecord(who="Anna").is_stated


def test_a_consent_holds_to_the_end_of_its_last_day_in_utc():
    """Without a last day it does not end."""
    last = datetime(2027, 12, 31, 23, 59, tzinfo=UTC)
    assert not ANNA.has_ended(last)
    assert ANNA.has_ended(last + timedelta(minutes=1))
    assert not ANNA.has_ended(datetime(2028, 1, 1, 3, tzinfo=timezone(timedelta(hours=4))))
    assert not replace(ANNA, until=None).has_ended(last + timedelta(days=10_000))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"given_on": "yesterday"}, "given_on: expected a date such as 2027-12-31, got 'yesterday'"),
        ({"given_on": "20260301"}, "given_on: expected a date"),
        ({"until": 2027}, "until: expected a date such as 2027-12-31, got 2027"),
        ({"given_on": "2026-03-01", "until": "2026-02-28"}, "until: expected 2026-03-01 or later"),
        ({"uses": "private"}, "uses: expected a list of private, research, public, commercial, got 'private'"),
        ({"uses": ["fun"]}, "uses: expected private, research, public, commercial, got 'fun'"),
        ({"who": "x" * 201}, "who: expected a string of at most 200 characters"),
        ({"name": "Anna"}, "name: no such field"),
    ],
)
def test_what_is_wrong_with_a_record_is_said(wrong: dict[str, Any], words: str):
    """The message names the field, and what was expected."""
    with pytest.raises(ValueError, match="^" + words.replace(".", r"\.")):
        ConsentRecord.from_json(Fields.of(wrong))


def test_actor_json_has_the_record_and_a_text_for_earlier_releases(tmp_path: Path):
    """They read `consent`, and ignore `consent_record`."""
    store = ActorStore(tmp_path / "actors")
    published = publish_tiny(store, tmp_path, "anna", consent=ANNA)
    document = json.loads((published.folder / METADATA_FILE).read_text())
    assert document["consent"] == ANNA.text
    assert document["consent_record"] == ANNA.to_json()
    assert store.load("anna").consent == ANNA


def _stored(tmp_path: Path, **changed: Any) -> ConsentRecord:
    store = ActorStore(tmp_path / "actors")
    path = publish_tiny(store, tmp_path, "old", consent=ANNA).folder / METADATA_FILE
    document = json.loads(path.read_text()) | changed
    path.write_text(json.dumps({name: value for name, value in document.items() if value != "absent"}))
    return store.load("old").consent


def test_an_actor_of_an_earlier_release_has_nothing_but_words(tmp_path: Path):
    """It stored text."""
    assert _stored(tmp_path, consent="me,\ntoday", consent_record="absent") == ConsentRecord(words="me,\ntoday")


@pytest.mark.parametrize("text", ["not stated", "Ann: not stated (until 2027-01-01)"])
def test_a_record_that_is_null_states_nothing(tmp_path: Path, text: str):
    """Whatever the text beside it says."""
    assert not _stored(tmp_path, consent=text, consent_record=None).is_stated


@pytest.mark.parametrize(
    "record",
    [
        ConsentRecord(who="Ann", until=date(2027, 1, 1), words="not stated", recorded_by="jo"),
        ConsentRecord(who="Ann", given_on=date(2026, 1, 1)),
        ConsentRecord(),
    ],
    ids=str,
)
def test_a_consent_that_is_not_stated_stays_so(tmp_path: Path, record: ConsentRecord):
    """It keeps its end, and earlier releases read that it is not stated."""
    store = ActorStore(tmp_path / "actors", now=lambda: datetime(2026, 3, 1, tzinfo=UTC))
    published = publish_tiny(store, tmp_path, "ann", consent=record)
    read = store.load("ann").consent
    assert (read.to_json(), read.is_stated) == (record.to_json(), False)
    assert json.loads((published.folder / METADATA_FILE).read_text())["consent"] == "not stated"
    if record.until:
        with pytest.raises(NoConsent, match="ended on 2027-01-01"):
            ActorStore(store.root, now=lambda: datetime(2030, 1, 1, tzinfo=UTC)).load("ann")


def test_the_record_counts_where_the_text_says_something_else(tmp_path: Path):
    """The text is for people and earlier releases."""
    assert _stored(tmp_path, consent="to everything, for ever") == ANNA


def test_a_damaged_record_is_refused(tmp_path: Path):
    """An end that cannot be read must not become no end."""
    with pytest.raises(ActorUnusable, match=r"actor\.json: consent_record\.until: expected a date"):
        _stored(tmp_path, consent_record=ANNA.to_json() | {"until": "soon"})
