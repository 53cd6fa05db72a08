"""`ActorPictures`: writes the pictures of an actor that no server sends, such as those of a training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from motion.frame import Picture
from provenance.credentials.manifest import SyntheticMedia
from provenance.credentials.signing import ContentCredentials
from provenance.watermark.marking import Watermark
from provenance.watermark.server_key import ServerKey
from serving.actors.preview import write_preview
from serving.process.atomic_files import hidden_beside, write_picture

_NO_SERVER: Final = "drawn by a training"


class ActorPictures:
    """Writes signed pictures of one actor. Servers send moving previews, so these get a watermark too.

    actor_version: 0 while it is not published yet.
    """

    def __init__(
        self, credentials: ContentCredentials, actor: str, *, actor_version: int = 0, consent_sha256: str = ""
    ) -> None:
        self._credentials = credentials
        mark = ServerKey(None).payload([actor, consent_sha256, _NO_SERVER])
        self._watermark = Watermark(mark)
        self._facts = SyntheticMedia(
            actor=actor, actor_version=actor_version, consent_sha256=consent_sha256, source_name="footage of the actor"
        )

    def write(self, path: Path, picture: Picture) -> None:
        """Write `[H, W, 3]` uint8 RGB as a PNG file. Raises OSError, CannotSign."""
        unsigned = hidden_beside(path)
        try:
            write_picture(unsigned, picture)
            self._credentials.sign(unsigned, path, self._facts)
            unsigned.replace(path)
        finally:
            unsigned.unlink(missing_ok=True)

    def write_preview(self, path: Path, pictures: Sequence[Picture], frames_per_second: float) -> None:
        """Write a moving preview. Raises what `serving.actors.preview.write_preview` raises, and CannotSign."""
        unsigned = hidden_beside(path)
        try:
            write_preview(unsigned, pictures, frames_per_second, finished=self._watermark.marked)
            facts = replace(self._facts, watermark_key_id=self._watermark.payload.key_id)
            self._credentials.sign(unsigned, path, facts)
            unsigned.replace(path)
        finally:
            unsigned.unlink(missing_ok=True)
