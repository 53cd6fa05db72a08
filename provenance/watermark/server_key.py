"""`ServerKey`: which server a watermark names, and how it derives the hash of a session."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from pathlib import Path

from provenance.private_files import write_private
from provenance.watermark.code import Payload
from serving.key_files import LEAST_KEY_BYTES, read_keys


class ServerKey:
    """A server's secret, whose id is in every watermark.

    With the key one can tell which session a hash belongs to; the id alone says which server it was. Servers without a
    key have the id 0, and anybody can compute their hashes.
    """

    def __init__(self, key: bytes | None) -> None:
        self._key = key or b""
        self.id = 0 if key is None else key_id(key)

    @classmethod
    def from_file(cls, path: Path | None, *, setting: str) -> ServerKey:
        """Read the first key of a file (see `serving.key_files`). None: no key. Raises BadSettings."""
        return cls(None if path is None else read_keys(path, setting=setting)[0])

    def payload(self, facts: Sequence[str | bytes]) -> Payload:
        """Return what the watermark of a session with these facts says; the same facts always give the same."""
        parts = [fact.encode() if isinstance(fact, str) else fact for fact in facts]
        message = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
        return Payload(self.id, int.from_bytes(hmac.digest(self._key, message, "sha256")[:4], "big"))


def key_id(key: bytes) -> int:
    """Return the 16 bits that stand for a key, never 0."""
    return max(1, int.from_bytes(hashlib.sha256(b"everybody-dance server key" + key).digest()[:2], "big"))


def known_key_ids(path: Path, *, setting: str) -> list[int]:
    """Return the ids of all keys in a file, of which all but the first are former ones. Raises BadSettings."""
    return [key_id(key) for key in read_keys(path, setting=setting)]


def make_key_file(path: Path) -> None:
    """Write a file with a new key that only its owner can read, unless there is one. Raises OSError."""
    if not path.exists():
        write_private(path, (secrets.token_hex(LEAST_KEY_BYTES) + "\n").encode())
