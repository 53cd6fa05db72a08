"""Keys of checkpoints come from a file."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.session.checkpoint import CheckpointSealer
from serving.errors import BadSettings

SECRET = secrets.token_hex(32)


def endless(path: Path) -> None:
    """A file of a terabyte that takes no room on the disk."""
    path.touch()
    os.truncate(path, 2**40)


def test_keys_are_lines_of_digits(tmp_path: Path):
    """One key per line; a random key without a file."""
    path = tmp_path / "keys"
    path.write_text(f"{SECRET}\n{secrets.token_hex(40)}\n")
    CheckpointSealer.from_file(path, setting="KEYS")
    CheckpointSealer.from_file(None, setting="KEYS")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (os.mkfifo, "is not a regular file"),
        (Path.mkdir, "is not a regular file"),
        (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
        (endless, "has 1099511627776 bytes, at most 1048576 are read"),
        (lambda path: path.write_bytes(b"\xff"), "cannot be read: expected lines of hexadecimal digits"),
        (lambda path: path.write_text(f"{SECRET}x"), "cannot be read: expected lines of hexadecimal digits"),
        (lambda path: path.write_text(SECRET[:-2]), "expected keys of at least 32 bytes, one per line"),
        (Path.touch, "expected keys of at least 32 bytes, one per line"),
    ],
)
def test_a_file_without_keys_is_named(tmp_path: Path, make: Callable[[Path], object], said: str):
    """The error has the setting, the path and the reason; it never quotes a key."""
    path = tmp_path / "keys"
    make(path)
    with pytest.raises(BadSettings, match="KEYS") as caught:
        CheckpointSealer.from_file(path, setting="KEYS")
    assert str(path) in str(caught.value)
    assert said in str(caught.value)
    assert SECRET[:-2] not in str(caught.value)
