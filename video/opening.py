"""Opens files, cameras and addresses, and chooses a file's video and sound tracks."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any, Final

import av
import av.error
from av.stream import Disposition

from serving.errors import UnreadableVideo

_STREAM_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_CAMERA: Final = re.compile(r"\d+|/dev/video\d+")
_ONE_PICTURE: Final = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_SILENT_SECONDS: Final = (10.0, 5.0)
"""How long a camera or a stream may send nothing: until it is open, and afterwards."""
_TEXT_FORMATS: Final = frozenset({"tty", "bin", "xbin", "adf", "idf"})


def is_endless(source: str) -> bool:
    """Whether `source` is a camera ("0", "/dev/video0") or a stream's address rather than a file."""
    return bool(_CAMERA.fullmatch(source) or _STREAM_ADDRESS.match(source))


def file_address(path: str | Path) -> str:
    """Return an FFmpeg address for a file of any name: FFmpeg would read `a:b.mp4` as an address of protocol `a`."""
    return f"file:{path}"


def check_camera(source: str) -> None:
    """Refuse a camera whose device does not exist, without opening it; anything else passes. Raises UnreadableVideo."""
    if _CAMERA.fullmatch(source) and sys.platform == "linux" and not Path(_device(source)).exists():
        raise UnreadableVideo(f"{_device(source)} cannot be opened: {os.strerror(errno.ENOENT).lower()}")


def _device(source: str) -> str:
    return f"/dev/video{source}" if source.isdecimal() else source


def opened(source: str) -> Any:
    """Open a source's container for reading. Raises UnreadableVideo with a one-line message."""
    if is_endless(source):
        device = _device(source)
        camera = _CAMERA.fullmatch(source) is not None
        try:
            return av.open(device, format="v4l2" if camera else None, timeout=_SILENT_SECONDS)
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
        # Pictures and sound are read separately, and pictures twice.
        raise UnreadableVideo(f"{source} is a pipe or a device: save its content to a file, and pass that file")
    if facts.st_size == 0:
        raise UnreadableVideo(f"{source} is empty")


def reason(error: BaseException) -> str:
    """Return the message of FFmpeg or the system, without error number and file name."""
    if isinstance(error, av.error.ExitError):  # FFmpeg's word for a time limit of ours
        return "it sent nothing for too long"
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()).lower() or type(error).__name__


def chosen_video(container: Any, source: str) -> tuple[Any, list[str]]:
    """Return the video track to use, and notes about the choice. Raises UnreadableVideo if there is no video.

    Cover pictures do not count. Among several videos, the one marked as default is used, else the first.
    """
    streams = list(container.streams.video)
    if not streams:
        raise UnreadableVideo(f"{source} contains no video")
    if container.format.name == "image2" or container.format.name.endswith("_pipe"):
        raise UnreadableVideo(f"{source} is a still picture, not a video")
    moving = [stream for stream in streams if not stream.disposition & _ONE_PICTURE]
    if not moving:
        kind = "a song with a cover picture" if container.streams.audio else "a still picture"
        raise UnreadableVideo(f"{source} is {kind}, not a video")
    readable = [stream for stream in moving if stream.codec_context is not None]
    if not readable:
        raise UnreadableVideo(f"{source}: FFmpeg cannot decode its video; convert it to H.264")
    notes = []
    if len(moving) < len(streams):
        notes.append("its cover picture is ignored")
    chosen = next((stream for stream in readable if stream.disposition & Disposition.default), readable[0])
    if len(moving) > 1:
        which = "its default" if chosen.disposition & Disposition.default else "the first readable one"
        notes.append(f"it has {len(moving)} videos: {which} is used")
    return chosen, notes


def chosen_sound(container: Any) -> tuple[Any | None, list[str]]:
    """Return the sound track to use, or None, and notes about the choice; it is chosen like the video."""
    streams = list(container.streams.audio)
    readable = [stream for stream in streams if stream.codec_context is not None]
    notes = []
    if len(readable) < len(streams):
        unread = len(streams) - len(readable)
        which = "its sound is" if len(streams) == 1 else f"{unread} of its {len(streams)} sound tracks are"
        notes.append(f"{which} ignored, because FFmpeg does not support the codec")
    if not readable:
        return None, notes
    chosen = next((stream for stream in readable if stream.disposition & Disposition.default), readable[0])
    if len(readable) > 1:
        place = streams.index(chosen) + 1
        notes.append(f"it has {len(streams)} sound tracks: number {place} is used")
    return chosen, notes
