"""Counts a file's frames if its stated length cannot be trusted."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import av.error

from video.opening import chosen_video, opened


def counted_frames(source: str) -> int | None:
    """Count the frames of a file's video without decoding them; None if there are none.

    Reads the whole file once, and caches the count until the file changes. Raises UnreadableVideo.
    """
    facts = Path(source).stat()
    return _counted(source, facts.st_size, facts.st_mtime_ns) or None


@lru_cache(maxsize=64)
def _counted(source: str, size_bytes: int, changed_at_ns: int) -> int:
    """Count an unchanged file only once: size and time of change are part of the cache key."""
    frames = fields = 0
    with opened(source) as container:
        stream = chosen_video(container, source)[0]
        rate = stream.codec_context.framerate
        with suppress(av.error.FFmpegError):  # the reader also ends where a truncated file does
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard:
                    frames += 1
                    # H.264 may store a frame's two fields in separate packets, each half as long.
                    fields += bool(rate and packet.duration and 4 * packet.duration * packet.time_base * rate < 3)
    return frames - fields // 2
