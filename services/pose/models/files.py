"""The files of networks that are not ours: a path, or an address from which a file is fetched once and checked."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from serving.errors import BadSettings

_CHUNK_BYTES: Final = 1 << 20
_MOST_BYTES: Final = 2 << 30
_SILENT_SECONDS: Final = 30.0
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFile:
    """path: where the file lies; None where it is fetched from `address`. sha256: of its bytes; "" for a path that is
    not checked."""

    path: Path | None
    address: str = ""
    sha256: str = ""

    def local(self, cache: Path | None = None) -> Path:
        """The file on this machine, with the right bytes; fetched into `cache` (default: the user's) if need be.

        Raises BadSettings for a file that is missing, has other bytes or cannot be fetched.
        """
        if self.path is not None:
            if not self.path.is_file():
                raise BadSettings(str(self.path), "there is no such file; the model card names it")
            if self.sha256:
                _check(_digest(self.path), self.sha256, str(self.path))
            return self.path
        folder = cache or user_cache()
        kept = folder / f"{self.sha256}{Path(urlsplit(self.address).path).suffix}"
        if kept.is_file() and _digest(kept) == self.sha256:
            return kept
        return self._fetched(kept)

    def _fetched(self, kept: Path) -> Path:
        scheme, host = urlsplit(self.address).scheme, urlsplit(self.address).hostname
        if scheme != "https" and not (scheme == "http" and host in _LOOPBACK):
            raise BadSettings(self.address, "expected an https address")
        part = None
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            handle, part = tempfile.mkstemp(prefix=".fetching.", dir=kept.parent)
            digest = hashlib.sha256()
            taken = 0
            with os.fdopen(handle, "wb") as file, _opener(host).open(self.address, timeout=_SILENT_SECONDS) as body:
                while data := body.read(_CHUNK_BYTES):
                    taken += len(data)
                    if taken > _MOST_BYTES:
                        raise BadSettings(self.address, f"is larger than {_MOST_BYTES} bytes")
                    digest.update(data)
                    file.write(data)
            _check(digest.hexdigest(), self.sha256, self.address)
            Path(part).replace(kept)
            part = None
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise BadSettings(self.address, f"cannot be fetched: {getattr(error, 'reason', error)}") from error
        finally:
            if part is not None:
                Path(part).unlink(missing_ok=True)
        return kept


def user_cache() -> Path:
    """Where fetched networks are kept, in the user's home."""
    return Path.home() / ".cache" / "everybody-dance" / "pose-models"


def _opener(host: str | None) -> urllib.request.OpenerDirector:
    """Goes through the proxy that the environment names, but never to this machine."""
    straight = [urllib.request.ProxyHandler({})] if host in _LOOPBACK else []
    return urllib.request.build_opener(*straight)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read: {error.strerror}") from error


def _check(found: str, wanted: str, name: str) -> None:
    if found != wanted:
        raise BadSettings(name, f"has other bytes than the model card says: sha256 {found}, expected {wanted}")
