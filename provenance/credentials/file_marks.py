"""`FileMarks`: what a file of pictures says about itself, in its Content Credentials and in its comment."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from provenance.credentials.manifest import SOFTWARE, Facts, SyntheticMedia
from provenance.credentials.signing import ContentCredentials

NO_CREDENTIALS: Final = "without Content Credentials (--no-credentials)"


class FileMarks:
    """The marks of one file.

    credentials: None if the user wants none, which the comment then says. facts: what is stated; they may be set until
    the file is complete, because much is known only once a session runs. sidecar: the file beside it that has the
    credentials, once it was signed and if it needed one.
    """

    def __init__(self, credentials: ContentCredentials | None, facts: Facts | None = None) -> None:
        self.credentials = credentials
        self.facts = facts
        self.sidecar: Path | None = None

    @property
    def comment(self) -> str:
        """What the container's comment says, for players that know no Content Credentials."""
        drawn = "AI-generated" if self.facts is None or isinstance(self.facts, SyntheticMedia) else self.facts.what
        return f"{drawn}; {SOFTWARE}" + (f", {NO_CREDENTIALS}" if self.credentials is None else "")

    def sign(self, written: Path, name: Path) -> None:
        """Sign a complete file before it gets its `name`, unless it is to have no credentials.

        Raises CannotSign, OSError.
        """
        if self.credentials is None:
            return
        if self.facts is None:
            raise ValueError(f"{name}: what its credentials say was never set")
        self.sidecar = self.credentials.sign(written, name, self.facts)
