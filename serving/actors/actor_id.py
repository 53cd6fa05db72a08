"""Names chosen by users, which become parts of paths and of Triton's model names."""

from __future__ import annotations

import re
from typing import Final

from serving.errors import BadInput

_ACTOR_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_NUMBER = re.compile(r"[1-9][0-9]*")
LAST_VERSION: Final = 2**32 - 1
"""Versions have 32 bits in the contract's messages."""


def is_actor_id(name: str) -> bool:
    """Whether `name` is 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit."""
    return _ACTOR_ID.fullmatch(name) is not None


def checked_actor_id(name: str, *, field: str = "actor") -> str:
    """Return `name`. Raises BadInput unless `is_actor_id`."""
    if not is_actor_id(name):
        raise BadInput(
            field, f"{name[:80]!r} is not an actor id: 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit"
        )
    return name


def actor_ids(text: str, *, field: str) -> frozenset[str]:
    """Return the ids of a setting, which commas separate. Raises BadInput for one that is none."""
    names = (name.strip() for name in text.split(","))
    return frozenset(checked_actor_id(name, field=field) for name in names if name)


def is_number(name: str) -> bool:
    """Whether a folder's name is a positive integer, as `str` writes it."""
    return _NUMBER.fullmatch(name) is not None


def is_version(name: str) -> bool:
    """Whether a folder's name is a version of an actor: an integer from 1 to `LAST_VERSION`."""
    return is_number(name) and len(name) <= len(str(LAST_VERSION)) and int(name) <= LAST_VERSION
