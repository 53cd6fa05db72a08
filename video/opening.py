"""Opens files, cameras and addresses, and chooses which of a file's tracks are shown and heard."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any, Final

import av
import av.error
from av.stream import Disposition

from serving.errors import UnreadableVideo

_STREAM_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_CAMERA: Final = re.compile(r"\d+|/dev/video\d+")
_ONE_PICTURE: Final = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_TEXT_FORMATS: Final = frozenset({"tty", "bin", "xbin", "adf", "idf"})


def is_endless(source: str) -> bool:
    """Whether `source` is a camera ("0", "/dev/video0") or a stream's address and not a file."""
    return bool(_CAMERA.fullmatch(source) or _STREAM_ADDRESS.match(source))


def file_address(path: str | Path) -> str:
    """What FFmpeg takes for this file, whatever its name: `a:b.mp4` alone would be an address of the protocol `a`."""
    return f"file:{path}"


def opened(source: str) -> Any:
    """The container behind `source`, for reading. Raises UnreadableVideo, in one line."""
    if is_endless(source):
        device = f"/dev/video{source}" if source.isdecimal() else source
        camera = _CAMERA.fullmatch(source) is not None
        try:
            return av.open(device, format="v4l2" if camera else None, timeout=(10.0, 5.0))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UnreadableVideo(f"{device} cannot be opened: {reason(error)}") from error
    try:
        _check_file(source)
        container = av.open(file_address(source), metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableVideo(f"{source} cannot be read as a video: {reason(error)}") from error
    if container.format.name in _TEXT_FORMATS:
        container.close()
        raise UnreadableVideo(f"{source} cannot be read as a video: it is text")
    return container


def _check_file(source: str) -> None:
    path = Path(source)
    if not path.exists():
        raise UnreadableVideo(f"{source} does not exist")
    if path.is_dir():
        raise UnreadableVideo(f"{source} is a folder, not a video")
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        # The pictures and the sound are read one by one, and the pictures twice.
        raise UnreadableVideo(f"{source} is a pipe or a device: write what comes out of it to a file, and name that")
    if facts.st_size == 0:
        raise UnreadableVideo(f"{source} is empty")


def reason(error: BaseException) -> str:
    """FFmpeg's or the system's own words, without the number and the name of the file."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()).lower() or type(error).__name__


def chosen_video(container: Any, source: str) -> tuple[Any, list[str]]:
    """The track that is shown, and what should be said about the choice. Raises UnreadableVideo where there is none.

    A cover picture is no video. Of several videos the one that the file marks as its default is taken, else the first.
    """
    streams = list(container.streams.video)
    if not streams:
        raise UnreadableVideo(f"{source} has no video in it")
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise UnreadableVideo(f"{source} is a still picture, and has no video in it")
    moving = [stream for stream in streams if not stream.disposition & _ONE_PICTURE]
    if not moving:
        kind = "a song with a cover picture" if container.streams.audio else "a still picture"
        raise UnreadableVideo(f"{source} is {kind}, and has no video in it")
    readable = [stream for stream in moving if stream.codec_context is not None]
    if not readable:
        raise UnreadableVideo(f"{source}: its video is of a kind that FFmpeg cannot decode; convert it to H.264")
    notes = []
    if len(moving) < len(streams):
        notes.append("its cover picture is left out")
    chosen = next((stream for stream in readable if stream.disposition & Disposition.default), readable[0])
    if len(moving) > 1:
        which = "its default" if chosen.disposition & Disposition.default else "the first that can be read"
        notes.append(f"it has {len(moving)} videos: {which} is taken")
    return chosen, notes


def chosen_sound(container: Any) -> tuple[Any | None, list[str]]:
    """The track that is heard, or None, and what should be said about the choice; chosen as the video is."""
    streams = list(container.streams.audio)
    readable = [stream for stream in streams if stream.codec_context is not None]
    notes = []
    if len(readable) < len(streams):
        unread = len(streams) - len(readable)
        which = "its sound is" if len(streams) == 1 else f"{unread} of its {len(streams)} sound tracks are"
        notes.append(f"{which} of a kind that FFmpeg does not know, and left out")
    if not readable:
        return None, notes
    chosen = next((stream for stream in readable if stream.disposition & Disposition.default), readable[0])
    if len(readable) > 1:
        place = streams.index(chosen) + 1
        notes.append(f"it has {len(streams)} sound tracks: number {place} is kept")
    return chosen, notes
