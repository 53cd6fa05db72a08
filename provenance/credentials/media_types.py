"""Which files can hold Content Credentials, and how C2PA calls them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MEDIA_TYPES: Final = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".avi": "video/avi",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
}
"""By suffix. Other files get a sidecar, such as clip.mkv.c2pa for clip.mkv."""
SIDECAR_SUFFIX: Final = ".c2pa"
OTHER_MEDIA_TYPE: Final = "application/octet-stream"
_HEADER_BYTES: Final = 12


def sidecar_of(path: Path) -> Path:
    """Return where the Content Credentials of a file are that cannot hold any: clip.mkv.c2pa for clip.mkv."""
    return path.with_name(path.name + SIDECAR_SUFFIX)


def media_type_of(source: Path) -> str | None:
    """Return the type of an existing file by its first bytes, because the names of uploads say little.

    None for files that cannot hold Content Credentials. Raises OSError.
    """
    with source.open("rb") as file:
        head = file.read(_HEADER_BYTES)
    if head[4:8] == b"ftyp":
        return MEDIA_TYPES[".mov" if head[8:12] == b"qt  " else ".mp4"]
    if head.startswith(b"\x89PNG"):
        return MEDIA_TYPES[".png"]
    if head.startswith(b"\xff\xd8"):
        return MEDIA_TYPES[".jpg"]
    if head.startswith(b"RIFF"):
        return {b"WEBP": MEDIA_TYPES[".webp"], b"AVI ": MEDIA_TYPES[".avi"]}.get(head[8:12])
    return None
