"""Whether a consent allows the use of a file."""

from __future__ import annotations

from dataclasses import replace

import pytest

from client.connection.types import ActorListing
from client.verification.consent import Permission, checked_consent
from serving.actors.consent import Use
from serving.actors.shown_records import ListedConsent

RECORD = ListedConsent(who="Anna", uses=("private", "public"), until="2030-01-01", sha256="aa")
ANNA = ActorListing("anna", 2, None, None, "", 0, "", consent_record=RECORD)
STATED = {"actor": "anna", "actor_version": 2, "consent_sha256": "aa"}


@pytest.mark.parametrize(
    ("use", "permission", "words"),
    [
        (None, Permission.YES, "it holds for private, public use until 2030-01-01"),
        (Use.PUBLIC, Permission.YES, "it allows public use until 2030-01-01"),
        (Use.COMMERCIAL, Permission.NO, "it does not allow commercial use, only private, public"),
    ],
)
def test_the_record_decides(use: Use | None, permission: Permission, words: str) -> None:
    """The uses that it names are allowed, and no others."""
    found = checked_consent(STATED, [ANNA], use)
    assert (found.permission, found.words, found.is_the_same) == (permission, words, True)
    assert found.to_json()["allowed"] == permission.value


def test_a_consent_that_ended_allows_nothing() -> None:
    """The reason is the server's."""
    ended = replace(ANNA, consent_record=replace(RECORD, ended_because="the consent was revoked on 2027-01-02"))
    found = checked_consent(STATED, [ended], None)
    assert (found.permission, found.words) == (Permission.NO, "the consent was revoked on 2027-01-02")


def test_a_record_of_mere_words_needs_a_reader() -> None:
    """It holds, but whether it means a use is for a person to say."""
    words = replace(ANNA, consent_record=ListedConsent(sha256="aa"))
    assert checked_consent(STATED, [words], None).permission is Permission.YES
    assert checked_consent(STATED, [words], Use.PUBLIC).permission is Permission.UNKNOWN


def test_another_record_than_the_files_is_pointed_out() -> None:
    """Versions never change, so it is another server's actor of that name: nothing is known about the file's."""
    found = checked_consent({**STATED, "consent_sha256": "bb"}, [ANNA], None)
    assert (found.is_the_same, found.permission) == (False, Permission.UNKNOWN)
    assert found.words.startswith("not known")


@pytest.mark.parametrize(
    ("stated", "known", "words"),
    [
        ({}, [ANNA], "not checked: no valid credentials name an actor"),
        (STATED, None, "not checked: name a server"),
        (STATED, [], "no record: this actor's version is not here"),
        (STATED, [replace(ANNA, consent_record=None)], "no record: the actor has none"),
        ({**STATED, "actor_version": "2"}, [ANNA], "no record"),
    ],
)
def test_what_is_not_known_is_said(stated, known, words: str) -> None:
    """Nothing is called allowed without a record."""
    found = checked_consent(stated, known, None)
    assert found.permission is Permission.UNKNOWN
    assert found.words.startswith(words)
