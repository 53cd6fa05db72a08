"""The moving preview of an actor's version: `preview.webp` in its folder, a few seconds of the actor in motion.

It is optional. Nothing that is served depends on it, so it is the one file that may be added to a published version. A
preview that is damaged, too large or no animation counts as missing; the version is served all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import cv2

from motion.crop import shrunk
from motion.documents import check_size, read_bounded
from motion.frame import Picture
from serving.process.atomic_files import written_whole

PREVIEW_FILE: Final = "preview.webp"
PREVIEW_MEDIA_TYPE: Final = "image/webp"
MOST_PREVIEW_BYTES: Final = 512 * 2**10
PREVIEW_FRAMES: Final = 24
_FRAMES_PER_SECOND: Final = 12
_LARGEST_SIDE_PX: Final = 1024
_WANTED_BYTES: Final = 150_000
_SMALLER_AND_SMALLER: Final = ((256, 80), (256, 60), (256, 40), (192, 40), (128, 30))
"""The longer side in pixels, and the quality of 1 to 100. The first that has at most the wanted bytes is written."""

# A WebP file begins: "RIFF", the number of bytes that follow (4), "WEBP"; then, if it is animated, "VP8X", the size of
# that chunk (4), flags (1), three reserved bytes, and width - 1 and height - 1 (3 each). All numbers are little-endian.
_HEADER_BYTES: Final = 30
_ANIMATED: Final = 0x02


def shown_every(frame_rate_hz: float) -> int:
    """Return n: a preview shows every n-th frame of a source with this rate, about 12 a second."""
    return max(1, round(frame_rate_hz / _FRAMES_PER_SECOND))


def write_preview(
    path: Path,
    pictures: Sequence[Picture],
    frames_per_second: float,
    *,
    finished: Callable[[Picture], Picture] = lambda picture: picture,
) -> None:
    """Write a preview that repeats forever.

    pictures: `[H, W, 3]` uint8 RGB each, at least two of one size; they are shrunk to a longer side of at most 256.
    finished: changes each picture after that, for a watermark.
    Raises OSError, and ValueError for fewer pictures.
    """
    if len(pictures) < 2:
        raise ValueError(f"a moving preview needs at least two pictures, got {len(pictures)}")
    for longer_side_px, quality in _SMALLER_AND_SMALLER:
        moving = cv2.Animation()
        moving.frames = [finished(shrunk(picture, longer_side_px))[..., ::-1].copy() for picture in pictures]
        moving.durations = [round(1000 / frames_per_second)] * len(pictures)
        with written_whole(path) as partial:
            if not cv2.imwriteanimation(str(partial), moving, [cv2.IMWRITE_WEBP_QUALITY, quality]):
                raise OSError(f"cannot encode {path.name}")
        if path.stat().st_size <= _WANTED_BYTES:
            return


def has_preview(folder: Path) -> bool:
    """Whether `read_preview` returns one, without reading all of it."""
    path = folder / PREVIEW_FILE
    try:
        check_size(path, MOST_PREVIEW_BYTES)
        with path.open("rb") as file:
            return _begins_a_preview(file.read(_HEADER_BYTES), path.stat().st_size)
    except (OSError, ValueError):
        return False


def read_preview(folder: Path) -> bytes | None:
    """Return the preview of the version in `folder`; None if there is none, or the file is of another kind."""
    try:
        data = read_bounded(folder / PREVIEW_FILE, MOST_PREVIEW_BYTES)
    except (OSError, ValueError):
        return None
    return data if is_preview(data) else None


def is_preview(data: bytes) -> bool:
    """Whether these bytes may be shown as a preview: by their header, a whole animated WebP of a bounded size."""
    return len(data) <= MOST_PREVIEW_BYTES and _begins_a_preview(data[:_HEADER_BYTES], len(data))


def _begins_a_preview(header: bytes, file_bytes: int) -> bool:
    if len(header) < _HEADER_BYTES or header[:4] != b"RIFF" or header[8:16] != b"WEBPVP8X":
        return False
    following, width_px, height_px = (
        int.from_bytes(header[begin:end], "little") for begin, end in ((4, 8), (24, 27), (27, 30))
    )
    whole, small = following + 8 == file_bytes, max(width_px, height_px) < _LARGEST_SIDE_PX
    return bool(header[20] & _ANIMATED) and whole and small
