"""A file of records that survives a killed process: each has its length and a checksum, and a torn end is cut off."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

_RECORD: Final = struct.Struct("<4sII")
"""Mark, length of the content, and its CRC-32."""
_MARK: Final = b"dnc1"
_HEAD: Final = struct.Struct("<I")
_LARGEST: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class SpoolRecord:
    """One record: a small JSON head, and parts in bytes."""

    head: dict[str, Any]
    parts: tuple[bytes, ...] = ()

    @property
    def content(self) -> bytes:
        """The record's bytes."""
        head = json.dumps({**self.head, "parts": [len(part) for part in self.parts]}).encode()
        return b"".join((_HEAD.pack(len(head)), head, *self.parts))

    @classmethod
    def of(cls, content: bytes) -> SpoolRecord:
        """Return the record with these bytes."""
        (length,) = _HEAD.unpack_from(content)
        at = _HEAD.size + length
        head = json.loads(content[_HEAD.size : at])
        parts = []
        for size in head.pop("parts"):
            parts.append(content[at : at + size])
            at += size
        return cls(head, tuple(parts))


@dataclass(slots=True)
class Spool:
    """Appends records to a file; a context manager. Not thread-safe: one thread at a time.

    What was appended is the system's and outlives the process, though not a loss of power.
    """

    path: Path
    bytes: int = 0
    _file: BinaryIO = field(init=False, repr=False)

    def __enter__(self) -> Spool:
        self._file = self.path.open("ab", buffering=0)
        self.bytes = self._file.tell()
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def append(self, record: SpoolRecord) -> None:
        """Add a record at the end. Raises OSError, such as for a full disk; half a record is then ignored."""
        content = record.content
        whole = memoryview(_RECORD.pack(_MARK, len(content), zlib.crc32(content)) + content)
        while whole:
            written = self._file.write(whole)
            self.bytes += written
            whole = whole[written:]


def records(path: Path) -> Iterator[tuple[SpoolRecord, int]]:
    """Yield the whole records of a file, each with the offset where it ends. Ends at the first torn or damaged one.

    A file that does not exist has none.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        while len(start := file.read(_RECORD.size)) == _RECORD.size:
            mark, length, checksum = _RECORD.unpack(start)
            if mark != _MARK or length > _LARGEST:
                return
            content = file.read(length)
            if len(content) < length or zlib.crc32(content) != checksum:
                return
            yield SpoolRecord.of(content), file.tell()


def cut(path: Path, at_bytes: int) -> None:
    """Cut off everything from this offset on."""
    with path.open("ab") as file:
        file.truncate(at_bytes)
