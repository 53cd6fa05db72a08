"""Files of third-party networks: a local path, or an address that is downloaded once and verified."""

from __future__ import annotations

import hashlib
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
    """A network's file.

    path: of a local file; None to download it from `address`. sha256: of its bytes; "" for a path that is not verified.
    """

    path: Path | None
    address: str = ""
    sha256: str = ""

    def local(self, cache: Path | None = None) -> Path:
        """Return the verified local file; downloads it into `cache` (default: the user's) if necessary.

        Raises BadSettings if the file is missing, has the wrong checksum or cannot be downloaded.
        """
        if self.path is not None:
            if not self.path.is_file():
                raise BadSettings(str(self.path), "this file, which the model card names, does not exist")
            if self.sha256:
                _check(_digest(self.path), self.sha256, str(self.path))
            return self.path
        folder = cache or Path.home() / ".cache" / "everybody-dance" / "pose-models"
        kept = folder / f"{self.sha256}{Path(urlsplit(self.address).path).suffix}"
        if kept.is_file() and _digest(kept) == self.sha256:
            return kept
        return self._fetched(kept)

    def _fetched(self, kept: Path) -> Path:
        scheme, host = urlsplit(self.address).scheme, urlsplit(self.address).hostname
        if scheme != "https" and not (scheme == "http" and host in _LOOPBACK):
            raise BadSettings(self.address, "expected an https address")
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".fetching.", dir=kept.parent) as folder:
                part = Path(folder) / kept.name
                with part.open("wb") as file, _opener(host).open(self.address, timeout=_SILENT_SECONDS) as body:
                    while data := body.read(_CHUNK_BYTES):
                        if file.tell() + len(data) > _MOST_BYTES:
                            raise BadSettings(self.address, f"is larger than the limit of {_MOST_BYTES} bytes")
                        file.write(data)
                _check(_digest(part), self.sha256, self.address)
                part.replace(kept)
        except (urllib.error.URLError, OSError, ValueError) as error:
            raise BadSettings(self.address, f"cannot be downloaded: {getattr(error, 'reason', error)}") from error
        return kept


def _opener(host: str | None) -> urllib.request.OpenerDirector:
    """Use the environment's proxy, except for addresses on this machine."""
    no_proxy = [urllib.request.ProxyHandler({})] if host in _LOOPBACK else []
    return urllib.request.build_opener(*no_proxy)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BadSettings(str(path), f"cannot be read: {error.strerror}") from error


def _check(found: str, wanted: str, name: str) -> None:
    if found != wanted:
        raise BadSettings(name, f"does not match the model card: sha256 {found}, expected {wanted}")
