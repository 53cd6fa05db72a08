"""Writes the actor's video: H.264, with the source's times and sound."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
from av.video.reformatter import Colorspace

from client.errors import UnwritableVideo
from client.terminal.output_files import refuse_existing
from motion.frame import Picture
from serving.process.atomic_files import hidden_beside
from video.opening import file_address, reason
from video.sound import SoundTrack

CONTAINERS: Final = (".mp4", ".mov", ".mkv")
_BT709: Final = 1
_ENCODER: Final = "libx264"
# Players support less than FFmpeg would write. Matroska is not listed: players support all of its codecs.
_SOUND_COPIED: Final = {
    ".mp4": frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}),
    ".mov": frozenset({"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be"}),
}


def check_video_output(out: Path, source: str, *, force: bool) -> None:
    """Check the output before work begins. Raises CommandError if writing it would overwrite something or cannot work.

    An existing file is refused without `force`; the source itself is always refused.
    """
    if out.suffix.lower() not in CONTAINERS:
        raise UnwritableVideo(f"{out} must end in {', '.join(CONTAINERS)}")
    refuse_existing([out], force=force, sources=[source])
    try:
        av.codec.Codec(_ENCODER, "w")
    except av.error.FFmpegError as error:
        raise UnwritableVideo(
            f"{out} cannot be written: this PyAV has no encoder {_ENCODER}; install PyAV's wheel"
        ) from error


class Recording:
    """A video file that appears under its name only when it is complete.

    Pictures go to a hidden file beside `out`, which `keep()` renames. Leaving the context without `keep()` deletes it
    and touches nothing else. The first picture sets the size; odd sizes are made even by repeating the last row or
    column.

    out: has a suffix of `CONTAINERS`. time_base: unit of the times passed to `write`. frame_rate: the average, a hint
    for the encoder. sound: the sound to add, if any; closed with the recording. replace: whether `out` may exist.
    """

    def __init__(
        self,
        out: Path,
        *,
        time_base: Fraction,
        frame_rate: Fraction,
        sound: SoundTrack | None = None,
        replace: bool = False,
    ) -> None:
        self.out = out
        self.pictures = 0
        self._time_base = time_base
        self._frame_rate = frame_rate
        self._sound = sound
        self._replace = replace
        self._stream: Any = None
        self._size: tuple[int, int] | None = None
        self._kept = False
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            self._part = hidden_beside(out)
            self._container: Any = av.open(file_address(str(self._part)), "w")
        except (OSError, av.error.FFmpegError) as error:
            raise UnwritableVideo(f"{out} cannot be written: {reason(error)}") from error

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *error: object) -> None:
        if not self._kept:
            try:
                self._container.close()
            except av.error.FFmpegError:
                pass  # it has no picture yet, or the disk is full: the file is deleted in any case
            finally:
                self._part.unlink(missing_ok=True)
        if self._sound is not None:
            self._sound.close()

    def write(self, picture: Picture, pts: int) -> None:
        """Add a picture, `[H, W, 3]` uint8 RGB, at `pts`, which must rise strictly. Raises UnwritableVideo."""
        height_px, width_px = picture.shape[:2]
        if self._stream is None:
            self._start(width_px, height_px)
        if self._size != (width_px, height_px):
            raise UnwritableVideo(f"{self.out}: a picture of {width_px}x{height_px} came after one of {self._size}")
        even = np.pad(picture, ((0, height_px % 2), (0, width_px % 2), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range="MPEG")
        frame.pts, frame.time_base = pts, self._time_base
        try:
            if self._sound is not None:
                self._container.mux(list(self._sound.packets_until(float(pts * self._time_base))))
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise UnwritableVideo(f"{self.out} cannot be written: {reason(error)}") from error
        self.pictures += 1

    def keep(self) -> None:
        """Finish the file and rename it to `out`. Raises UnwritableVideo, also if no picture was written."""
        if self._stream is None:
            raise UnwritableVideo(f"{self.out}: there is no picture to write")
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None:
                self._container.mux(list(self._sound.packets_until(None)))
            self._container.close()
            if self.out.exists() and not self._replace:
                raise UnwritableVideo(f"{self.out} was created in the meantime; --force overwrites it")
            self._part.replace(self.out)
        except (av.error.FFmpegError, OSError) as error:
            raise UnwritableVideo(f"{self.out} cannot be written: {reason(error)}") from error
        self._kept = True

    def _start(self, width_px: int, height_px: int) -> None:
        self._size = (width_px, height_px)
        stream = self._container.add_stream(_ENCODER, rate=self._frame_rate)
        stream.width, stream.height = width_px + width_px % 2, height_px + height_px % 2
        stream.pix_fmt = "yuv420p"
        # Without B-frames, decoding times equal presentation times, so variable frame rates keep exact durations.
        stream.options = {"crf": "18", "preset": "veryfast", "bf": "0"}
        context = stream.codec_context
        context.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._stream = stream
        if self._sound is not None:
            self._sound.attach(self._container, _SOUND_COPIED.get(self.out.suffix.lower()))
