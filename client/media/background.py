"""What the dancer is laid over: the user's --background."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from client.errors import CommandError, UsageError
from motion.documents import BadDocument, read_bounded
from motion.frame import EncodedPicture, FrameSize, Picture, PictureEncoding
from serving.errors import BadPicture, UnreadableVideo
from serving.pictures.background import Background, Colour
from serving.pictures.codec import PictureLimits, decode_picture, encode_picture, encoding_of, size_of
from serving.pictures.compositing import covering
from video.reader import SourceFrame, VideoReader

GREEN: Final[Colour] = (0, 177, 64)
"""The usual green of a chroma key: rgb(0, 177, 64)."""
_COLOUR: Final = re.compile(r"#([0-9a-fA-F]{2})([0-9a-fA-F]{2})([0-9a-fA-F]{2})")
_PICTURE_LIMITS: Final = PictureLimits(max_side_px=16_384, max_bytes=64 * 2**20)
_MOST_SENT_PX: Final = 1920
"""The longest side of the picture that is sent; no answer is much larger."""
_JPEG_QUALITY: Final = 95
_HEADER_BYTES: Final = 8
_FIELD: Final = "picture"
_ROUNDING_S: Final = 1e-4
"""Sums of frame times are not exact; a picture that is due at this very time is shown."""


@dataclass(frozen=True, slots=True)
class ChosenBackground:
    """The background of a dance.

    for_server: what the server lays the person over; transparent if a video is laid behind them here. video: its file.
    """

    for_server: Background = field(default_factory=Background)
    video: Path | None = None

    @property
    def keeps_opacity(self) -> bool:
        """Whether the output is transparent where the person is not."""
        return self.for_server.transparent and self.video is None


def chosen_background(text: str | None) -> ChosenBackground:
    """Read --background: `transparent`, `green`, `#RRGGBB`, or the file of a picture or a video; None for no choice.

    Raises UsageError and CommandError.
    """
    if text is None:
        return ChosenBackground()
    if text == "transparent":
        return ChosenBackground(Background(transparent=True))
    if text == "green":
        return ChosenBackground(Background(colour=GREEN))
    colour = _COLOUR.fullmatch(text)
    if colour is not None:
        red, green, blue = (int(digits, 16) for digits in colour.groups())
        return ChosenBackground(Background(colour=(red, green, blue)))
    path = Path(text)
    if not path.is_file():
        raise UsageError(
            f"--background {text}: there is no {'picture or video' if path.is_dir() else 'file'} of that name; "
            "expected transparent, green, #RRGGBB, a picture or a video"
        )
    if _is_picture(path):
        return ChosenBackground(Background(picture=_picture_to_send(path)))
    try:
        with VideoReader(text) as reader:
            for _ in islice(reader.frames(), 2):  # a still picture ends with an error after the first
                pass
            return ChosenBackground(Background(transparent=True), path)
    except UnreadableVideo as error:
        raise CommandError(
            f"--background {text} is neither a JPEG or PNG picture nor a video that can be decoded; "
            "convert it to one of them"
        ) from error


class BackgroundVideo:
    """A video's pictures at rising times; it begins again when it ends. A context manager.

    lost_frames: how many frames of the file cannot be decoded; known once its last picture was shown.

    Raises UnreadableVideo.
    """

    def __init__(self, path: Path, size: FrameSize) -> None:
        self.lost_frames = 0
        self._path = path
        self._size = size
        self._began_s = 0.0
        self._reader: VideoReader | None = None
        self._frames: Iterator[SourceFrame] = iter(())
        self._next: SourceFrame | None = None
        self._shown: SourceFrame | None = None
        self._picture: Picture | None = None

    def __enter__(self) -> BackgroundVideo:
        self._open()
        return self

    def __exit__(self, *error: object) -> None:
        if self._reader is not None:
            self._reader.close()

    def at(self, seconds: float) -> Picture:
        """Return the picture that is shown at `seconds`, `[H, W, 3]` uint8 RGB that covers the size."""
        while self._shown is None or self._next_begins_s() <= seconds + _ROUNDING_S:
            if self._next is None:
                self._begin_again(seconds)
            self._shown, self._next = self._next, next(self._frames, None)
            self._picture = None
            if self._next is None and self._reader is not None:
                self.lost_frames = self._reader.lost_frames
        if self._picture is None:
            self._picture = covering(self._shown.pixels, self._size.width_px, self._size.height_px)
        return self._picture

    def _next_begins_s(self) -> float:
        """When the next picture is shown: at the end, when the last one has been shown as long as the others."""
        assert self._shown is not None
        assert self._reader is not None
        if self._next is None:
            return self._began_s + self._shown.seconds + 1 / self._reader.frame_rate_hz
        return self._began_s + self._next.seconds

    def _begin_again(self, seconds: float) -> None:
        assert self._reader is not None
        ends_s = self._next_begins_s()
        round_s = ends_s - self._began_s
        # A camera may pause for long: whole rounds until then need not be decoded.
        self._began_s = ends_s + max(0.0, (seconds - ends_s) // round_s) * round_s
        self._reader.close()
        self._open()

    def _open(self) -> None:
        self._reader = VideoReader(str(self._path))
        self._frames = self._reader.frames()
        self._next = next(self._frames)


def _is_picture(path: Path) -> bool:
    """Return whether the file begins like a JPEG or PNG. Raises CommandError."""
    try:
        with path.open("rb") as file:
            return encoding_of(file.read(_HEADER_BYTES)) is not None
    except OSError as error:
        raise CommandError(f"--background {path} cannot be read: {error.strerror}") from error


def _picture_to_send(path: Path) -> EncodedPicture:
    """Return the picture upright and no larger than needed, as a JPEG. Raises CommandError."""
    try:
        data = read_bounded(path, _PICTURE_LIMITS.max_bytes)
        sent = covering_picture(data, _PICTURE_LIMITS)
    except OSError as error:
        raise CommandError(f"--background {path} cannot be read: {error.strerror}") from error
    except (BadDocument, BadPicture) as error:
        reason = str(error).removeprefix(f"{_FIELD}.data: ").removeprefix(f"{_FIELD}: ")
        raise CommandError(f"--background {path} {reason}") from error
    if sent is None:
        raise CommandError(f"--background {path}: its header is damaged; expected a JPEG or PNG picture")
    return sent


def covering_picture(data: bytes, limits: PictureLimits) -> EncodedPicture | None:
    """Return a JPEG or PNG file's picture upright and no larger than needed, as a JPEG; None if it is neither.

    Raises BadPicture.
    """
    encoding = encoding_of(data)
    size = None if encoding is None else size_of(data, encoding)
    if encoding is None or size is None:
        return None
    pixels = decode_picture(EncodedPicture(encoding, *size, data), limits, field=_FIELD, upright=True)
    height_px, width_px = pixels.shape[:2]
    scale = min(1.0, _MOST_SENT_PX / max(width_px, height_px))
    shrunk = covering(pixels, max(1, round(width_px * scale)), max(1, round(height_px * scale)))
    return encode_picture(shrunk, PictureEncoding.JPEG, _JPEG_QUALITY)
