"""Actor ids from the names that people type."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Final

from web.access.refusals import Refused

MOST_NAME_CHARACTERS: Final = 60
_MOST_ID_CHARACTERS: Final = 48
_FIRST_CYRILLIC: Final = 0x430
_LATIN: Final = (
    "a", "b", "v", "g", "d", "e", "zh", "z", "i", "i", "k", "l",
    "m", "n", "o", "p", "r", "s", "t", "u", "f", "kh",
    "ts", "ch", "sh", "shch", "", "y", "", "e", "yu", "ya",
)  # fmt: skip
_CYRILLIC: Final = {_FIRST_CYRILLIC + place: latin for place, latin in enumerate(_LATIN)}
"""Latin letters for the 32 small letters that follow each other in Unicode; the hard and the soft sign have none."""


def actor_id_from(name: str) -> str:
    """Return the actor's id for a name: small letters and digits of ASCII, with hyphens in between.

    Names in other alphabets than Latin and Cyrillic become a hash. Raises Refused 422 for a name without a letter or a
    digit, and for one that is too long.
    """
    name = name.strip()
    if len(name) > MOST_NAME_CHARACTERS or not any(character.isalnum() for character in name):
        text = f"A name takes 1 to {MOST_NAME_CHARACTERS} characters, with a letter or a digit among them."
        raise Refused(422, "bad_name", text)
    plain = unicodedata.normalize("NFKD", name.casefold())  # casefold writes a German sharp s as ss
    plain = "".join(character for character in plain if not unicodedata.combining(character))
    found = re.sub(r"[^a-z0-9]+", "-", plain.translate(_CYRILLIC)).strip("-")[:_MOST_ID_CHARACTERS].rstrip("-")
    return found or "dancer-" + hashlib.sha256(name.encode()).hexdigest()[:8]
