"""How many frames a file has, where what it says of its length cannot be trusted."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import av.error

from video.opening import chosen_video, opened


def counted_frames(source: str) -> int | None:
    """The frames of a file's video, counted without decoding them; None where there is none.

    Reads the file once; the number is kept for as long as the file stays as it is. Raises UnreadableVideo.
    """
    facts = Path(source).stat()
    return _counted(source, facts.st_size, facts.st_mtime_ns) or None


@lru_cache(maxsize=64)
def _counted(source: str, size_bytes: int, changed_at_ns: int) -> int:
    """Of a file as it is now: whoever asks again does not read it again."""
    frames = fields = 0
    with opened(source) as container:
        stream = chosen_video(container, source)[0]
        rate = stream.codec_context.framerate
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                break  # what is broken off ends here for the reader too
            if not packet.size or packet.is_discard:
                continue
            frames += 1
            # H.264 may store the two fields of a frame one by one, each half as long.
            if rate and packet.duration and 4 * packet.duration * packet.time_base * rate < 3:
                fields += 1
    return frames - fields // 2
