"""Files of secret keys: one hexadecimal key per line, of which the first is used and all are known."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from motion.documents import BadDocument, read_bounded
from serving.errors import BadSettings

LEAST_KEY_BYTES: Final = 32
_MOST_BYTES: Final = 2**20


def read_keys(path: Path, *, setting: str) -> list[bytes]:
    """Return the keys, at least one. Raises BadSettings for `setting`, which never quotes a key."""
    try:
        keys = [bytes.fromhex(line) for line in read_bounded(path, _MOST_BYTES).decode("ascii").split()]
    except OSError as error:
        raise BadSettings(setting, f"{path} cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadSettings(setting, f"{path} {error}") from error
    except ValueError:
        raise BadSettings(setting, f"{path} cannot be read: expected lines of hexadecimal digits") from None
    if not keys or min(map(len, keys)) < LEAST_KEY_BYTES:
        raise BadSettings(setting, f"{path}: expected keys of at least {LEAST_KEY_BYTES} bytes, one per line")
    return keys
