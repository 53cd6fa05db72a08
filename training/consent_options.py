"""The options of a training that state a consent, and the file that can state all of it.

--consent is one of three things: words; the path of a file whose name ends in .json; or the content of such a file,
which begins with a brace, for a machine that does not have the file. The file is an object with the fields of
`serving.actors.consent.ConsentRecord`, all of which may be missing:

    {"who": "Anna K.", "given_on": "2026-03-01", "uses": ["private", "research"], "until": "2027-12-31",
     "recorded_by": "jo", "words": "to dancing in our lab, and to nothing else"}

The other options add what the words or the file leave out, and must not say something else.
"""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Final

from motion.documents import Fields, parsed, read_document
from serving.actors.consent import ConsentRecord, parsed_date, parsed_use
from serving.errors import BadInput

WITHOUT_CONSENT: Final = "the consent is not stated: a server that other machines can reach will refuse this actor"

_OPTION: Final = "--consent"
_FILE_ENDING: Final = ".json"


def written_out(given: str) -> str:
    """Return what `--consent` says without a file: words, or the content of the file. Raises BadInput."""
    if not given.endswith(_FILE_ENDING) or given.startswith("{"):
        return given
    try:
        return ConsentRecord.from_json(Fields.of(read_document(Path(given)))).canonical_json()
    except OSError as error:
        raise BadInput(_OPTION, f"{given} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(_OPTION, f"{given}: {error}") from error


def consent_of(given: str, *, uses: Sequence[str], on: str, until: str, by: str) -> ConsentRecord:
    """Return the record that the options make together. Raises BadInput, which names the option.

    given: see `written_out`. A consent that is not stated takes no other options.
    """
    try:
        record = (
            ConsentRecord.from_json(Fields.of(parsed(given))) if given.startswith("{") else ConsentRecord.of_text(given)
        )
    except ValueError as error:
        raise BadInput(_OPTION, str(error)) from error
    if not record.is_stated and (uses or on or until or record.names_terms or not record.words.strip()):
        expected = 'say who agreed and to what, in words or as "words" of the file; it is kept with the actor'
        if record.is_denied:
            raise BadInput(_OPTION, f"is {record.words.strip()!r}, which goes with no person, use or date: {expected}")
        raise BadInput(_OPTION, f"cannot be blank: {expected}")
    given_on, last_day = _date(on, "--consent-on", record.given_on), _date(until, "--consent-until", record.until)
    try:
        named = tuple(parsed_use(use) for use in uses)
    except ValueError as error:
        raise BadInput("--consent-for", str(error)) from error
    if named and record.uses:
        raise BadInput("--consent-for", "the file says already what the consent is for")
    try:
        return replace(
            record,
            given_on=given_on,
            until=last_day,
            uses=named or record.uses,
            recorded_by=by or record.recorded_by or user_name(),
        )
    except ValueError as error:
        raise BadInput("--consent-by" if by else _OPTION, str(error)) from error


def user_name() -> str:
    """Return the name of the user of this process; empty where the system knows none, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _date(text: str, option: str, stored: date | None) -> date | None:
    if not text:
        return stored
    try:
        found = parsed_date(text)
    except ValueError as error:
        raise BadInput(option, str(error)) from error
    if stored not in (None, found):
        raise BadInput(option, f"is {found}, but the file says {stored}")
    return found
