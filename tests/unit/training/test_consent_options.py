"""Consent on the command line of a training."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from serving.actors.consent import ConsentRecord, Use
from serving.errors import BadInput
from training.options import FootageRequest, TrainRequest

ANNA = {"who": "Anna K.", "given_on": "2026-03-01", "uses": ["private"], "until": "2099-12-31", "words": "to dancing"}


def _request(**options: Any) -> TrainRequest:
    return TrainRequest(footage=FootageRequest(files=[Path("me.mp4")]), actor="me", **options)


def _file(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "anna.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


def test_words_and_options_make_a_record():
    """Uses are kept in the order of the vocabulary."""
    request = _request(
        consent="Anna, to dancing",
        consent_for=["research", "private"],
        consent_on="2026-03-01",
        consent_until="2099-12-31",
        consent_by="jo",
    )
    record = request.consent_record
    assert record == ConsentRecord(
        words="Anna, to dancing", uses=(Use.PRIVATE, Use.RESEARCH), given_on=date(2026, 3, 1), until=date(2099, 12, 31)
    )
    assert record.recorded_by == "jo"


def test_the_user_who_runs_the_command_records_the_consent(monkeypatch: pytest.MonkeyPatch):
    """Where the system knows no name, as in a container with a user of its own, the field stays empty."""
    monkeypatch.setattr("getpass.getuser", lambda: "jo")
    assert _request(consent="me").consent_record.recorded_by == "jo"

    def unknown() -> str:
        raise KeyError

    monkeypatch.setattr("getpass.getuser", unknown)
    assert _request(consent="me").consent_record.recorded_by == ""


def test_a_file_has_the_whole_record_and_goes_to_a_machine_without_it(tmp_path: Path):
    """The arguments of a Job contain what the file said."""
    request = _request(consent=_file(tmp_path, ANNA), consent_by="jo")
    assert request.consent_record.to_json() == ANNA | {"recorded_by": "jo"}
    (word,) = (word for word in request.arguments() if word.startswith("--consent="))
    (tmp_path / "anna.json").unlink()
    assert _request(consent=word.removeprefix("--consent=")).consent_record == request.consent_record


def test_options_add_what_a_file_leaves_out(tmp_path: Path):
    """The end that both name is the same."""
    given = _file(tmp_path, {"who": "Anna", "words": "to dancing", "until": "2099-12-31"})
    record = _request(consent=given, consent_for=["public"], consent_until="2099-12-31").consent_record
    assert record.text == "Anna: to dancing (public; until 2099-12-31)"


@pytest.mark.parametrize(
    ("content", "options", "words"),
    [
        ("{", {}, "--consent: .*is not JSON"),
        ("[]", {}, "--consent: .*expected an object"),
        ({"who": 7}, {}, "--consent: .*who: expected a string"),
        ({"who": "Anna"}, {}, "--consent: cannot be blank"),
        (
            {"who": "Ann", "until": "2027-01-01", "words": "not stated"},
            {},
            "--consent: is 'not stated', which goes with",
        ),
        ({"who": "Ann", "uses": ["private"], "words": "None."}, {}, "--consent: is 'None.', which goes with no person"),
        (ANNA, {"consent_until": "2098-01-01"}, "--consent-until: is 2098-01-01, but the file says 2099-12-31"),
        (ANNA, {"consent_for": ["public"]}, "--consent-for: the file says already"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, content: Any, options: dict[str, Any], words: str):
    """The error names the option."""
    with pytest.raises(BadInput, match="^" + words):
        _request(consent=_file(tmp_path, content), **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"consent": "missing.json"}, "--consent: missing.json cannot be read: No such file"),
        ({"consent": " "}, "--consent: cannot be blank: say who agreed and to what"),
        ({"consent": "x" * 100_001}, "--consent: words: expected at most 100000 characters, got 100001"),
        ({"consent": "not stated", "consent_until": "2099-12-31"}, "--consent: is 'not stated', which goes with"),
        ({"consent": "me", "consent_on": "today"}, "--consent-on: expected a date such as 2027-12-31, got 'today'"),
        ({"consent": "me", "consent_for": ["fun"]}, "--consent-for: expected private, research, public, commercial"),
        ({"consent": "me", "consent_by": "x" * 201}, "--consent-by: recorded_by: expected at most 200"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], words: str):
    """Before anything slow begins."""
    with pytest.raises(BadInput, match="^" + words):
        _request(**options)
