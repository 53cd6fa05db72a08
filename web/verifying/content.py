"""What an uploaded file is by its content, and whether a decoder may be let loose on it."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

from motion.frame import PictureEncoding
from provenance.credentials.media_types import MEDIA_TYPES, media_type_of
from provenance.verification import STILL_SUFFIXES
from serving.errors import UnreadableVideo
from serving.pictures import png_limits
from serving.pictures.codec import size_of
from video.opening import chosen_video, opened
from web.access.refusals import Refused
from web.dances import clips

_SUFFIXES: Final = {"video/webm": ".mkv", "video/mp4": ".qt"}
"""Of videos that hold no Content Credentials: Matroska, and QuickTime files from before the ftyp box."""
_MOST_STILL_BYTES: Final = 64 * 2**20
"""Of a picture, which is in memory while it is checked."""
_START_OF_SCAN: Final = b"\xff\xda"
_MOST_SCANS: Final = 64
"""The limit for a JPEG and its thumbnails. Encoders write about ten scans; each is a pass over the whole picture."""


def suffix_of(path: Path) -> str:
    """Return the suffix that a file's content asks for. Raises Refused 415 for what is no video and no picture."""
    media_type = media_type_of(path)
    if media_type is not None:
        return next(suffix for suffix, known in MEDIA_TYPES.items() if known == media_type)
    with path.open("rb") as file:
        found = clips.media_type_of(file.read(clips.SNIFFED_BYTES))
    if found not in _SUFFIXES:
        expected = "a video in MP4, MOV, WebM, MKV or AVI, or a picture in PNG, JPEG or WebP"
        raise Refused(
            415, "not_checkable", f"This file does not look like one that can be checked: expected {expected}."
        )
    return _SUFFIXES[found]


def check_bounds(path: Path, most_side_px: int) -> None:
    """Raise Refused 413 for pictures that are too large, 415 for those that cost a decoder far more than their size.

    path: with the suffix of its content. What cannot be opened passes: the search will say so.
    """
    size = _size_of_still(path) if path.suffix in STILL_SUFFIXES else _size_of_video(path)
    if size is not None and max(size) > most_side_px:
        text = f"Its pictures are {size[0]}x{size[1]} pixels, at most {most_side_px} a side are checked."
        raise Refused(413, "pictures_too_large", text)


def _size_of_still(path: Path) -> tuple[int, int] | None:
    if path.stat().st_size > _MOST_STILL_BYTES:
        raise Refused(413, "file_too_large", f"At most {_MOST_STILL_BYTES} bytes of a picture are checked.")
    data = path.read_bytes()
    if path.suffix == ".png":
        try:
            png_limits.harmless(data)
        except ValueError as error:
            raise Refused(415, "unreadable_file", f"This PNG cannot be checked: it {error}.") from error
        return png_limits.size_of(data)
    if path.suffix == ".webp":
        return _size_of_webp(data)
    if data.count(_START_OF_SCAN) > _MOST_SCANS:
        raise Refused(415, "unreadable_file", f"This JPEG cannot be checked: it has more than {_MOST_SCANS} scans.")
    return size_of(data, PictureEncoding.JPEG)


def _size_of_webp(data: bytes) -> tuple[int, int] | None:
    """Width and height from the first chunk: of an extended file, a lossy picture or a lossless one."""
    kind, head = data[12:16], data[20:30]
    if len(head) < 10:
        return None
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8 ":
        width_px, height_px = struct.unpack("<HH", head[6:10])
        return width_px & 0x3FFF, height_px & 0x3FFF
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return None


def _size_of_video(path: Path) -> tuple[int, int] | None:
    try:
        clips.check_format(path)
        with opened(str(path)) as container:
            context = chosen_video(container, str(path))[0].codec_context
            return int(context.width), int(context.height)
    except UnreadableVideo:
        return None
