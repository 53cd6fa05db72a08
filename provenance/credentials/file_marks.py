"""`FileMarks`: what a file of pictures says about itself, in its Content Credentials and in its comment."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Final

from provenance.credentials.manifest import SOFTWARE, Facts, SyntheticMedia
from provenance.credentials.media_types import MEDIA_TYPES, sidecar_of
from provenance.credentials.signing import ContentCredentials, KnownSources

NO_CREDENTIALS: Final = "without Content Credentials (--no-credentials)"
_PNG_HEADER_BYTES: Final = 33
"""The signature and the chunk IHDR; other chunks may follow."""


class FileMarks:
    """The marks of one file, or of several that say the same.

    credentials: None if the user wants none, which the comment then says. facts: what is stated; they may be set until
    the file is complete, because much is known only once a session runs. sidecar: the file beside it that has the
    credentials, once it has its name and if it needed one.
    """

    def __init__(self, credentials: ContentCredentials | None, facts: Facts | None = None) -> None:
        self.credentials = credentials
        self.facts = facts
        self.sidecar: Path | None = None
        self._hidden: Path | None = None
        self._known: KnownSources = {}

    @property
    def comment(self) -> str:
        """What the container's comment says, for players that know no Content Credentials."""
        drawn = "AI-generated" if self.facts is None or isinstance(self.facts, SyntheticMedia) else self.facts.what
        return f"{drawn}; {SOFTWARE}" + (f", {NO_CREDENTIALS}" if self.credentials is None else "")

    def sign(self, written: Path, name: Path) -> None:
        """Sign a complete file before it gets its `name`, unless it is to have no credentials.

        Raises CannotSign, OSError, and ValueError if what is stated was never set.
        """
        if self.credentials is None:
            if name.suffix.lower() == ".png":  # a video got its comment when it was begun
                written.write_bytes(_with_comment(written.read_bytes(), self.comment))
            return
        if self.facts is None:
            raise ValueError(f"{name}: what its credentials say was never set")
        self._hidden = self.credentials.sign(written, name, self.facts, self._known)

    def name(self, written: Path, name: Path) -> None:
        """Give a signed file its name, and its sidecar the name that belongs to it. Raises OSError.

        A sidecar of an earlier file of that name goes first: beside the new file it would call it changed.
        """
        beside = sidecar_of(name)
        if name.suffix.lower() not in MEDIA_TYPES:
            beside.unlink(missing_ok=True)
        written.replace(name)
        if self._hidden is not None:
            self._hidden.replace(beside)
            self.sidecar, self._hidden = beside, None

    def discard(self) -> None:
        """Delete what was signed and never named."""
        if self._hidden is not None:
            self._hidden.unlink(missing_ok=True)


def _with_comment(png: bytes, comment: str) -> bytes:
    """Add a tEXt chunk (PNG specification, third edition, 11.3.3.2)."""
    body = b"tEXtComment\0" + comment.encode("latin-1", errors="replace")
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:_PNG_HEADER_BYTES] + chunk + png[_PNG_HEADER_BYTES:]
