"""Writes the actor's video, with the source's times and sound: H.264, or VP9 or ProRes 4444 with an opacity."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error
import numpy as np
from av.video.reformatter import Colorspace

from client.errors import UnwritableVideo
from client.terminal.output_files import refuse_existing
from motion.frame import Picture, RgbaPicture
from provenance.credentials.errors import CannotSign
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.media_types import MEDIA_TYPES, sidecar_of
from serving.pictures.compositing import with_colours_spread
from serving.process.atomic_files import hidden_beside
from video.opening import file_address, reason
from video.sound import SoundTrack

CONTAINERS: Final = (".mp4", ".mov", ".mkv")
"""Of an ordinary video."""
_BT709: Final = 1
_MOV_SOUND: Final = frozenset({"aac", "mp3", "ac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be"})


@dataclass(frozen=True, slots=True)
class _Encoding:
    """How a container's pictures are encoded.

    copied_sound: the codecs of sound that players support in the container; None for all that FFmpeg would write. Other
    sound is encoded with `sound_encoder`.
    """

    encoder: str
    pixel_format: str
    options: dict[str, str]
    copied_sound: frozenset[str] | None = None
    sound_encoder: str = "aac"


def _h264(copied_sound: frozenset[str] | None = None) -> _Encoding:
    # Without B-frames, decoding times equal presentation times, so variable frame rates keep exact durations.
    return _Encoding("libx264", "yuv420p", {"crf": "18", "preset": "veryfast", "bf": "0"}, copied_sound)


_OPAQUE: Final = {
    ".mp4": _h264(frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})),
    ".mov": _h264(_MOV_SOUND),
    ".mkv": _h264(),
}
_TRANSPARENT: Final = {
    # Alternate reference frames do not work with an opacity.
    ".webm": _Encoding(
        "libvpx-vp9",
        "yuva420p",
        {"crf": "20", "b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1", "auto-alt-ref": "0"},
        frozenset({"opus", "vorbis"}),
        "libopus",
    ),
    ".mov": _Encoding("prores_ks", "yuva444p10le", {"profile": "4444", "alpha_bits": "16"}, _MOV_SOUND),
}


def check_video_output(out: Path, source: str, *, force: bool, keeps_opacity: bool = False) -> None:
    """Check the output before work begins. Raises CommandError if writing it would overwrite something or cannot work.

    An existing file is refused without `force`; the source itself is always refused. keeps_opacity: whether the video
    is transparent where the person is not.
    """
    encodings = _TRANSPARENT if keeps_opacity else _OPAQUE
    encoding = encodings.get(out.suffix.lower())
    if encoding is None and keeps_opacity:
        kept = "a folder for PNG frames, .webm (VP9) or .mov (ProRes 4444)"
        raise UnwritableVideo(f"{out} cannot keep a transparent background; name {kept}")
    if encoding is None:
        *others, last = CONTAINERS
        raise UnwritableVideo(f"{out} must end in {', '.join(others)} or {last}")
    refuse_existing(_files_of(out), force=force, sources=[source])
    try:
        av.codec.Codec(encoding.encoder, "w")
    except av.error.FFmpegError as error:
        raise UnwritableVideo(
            f"{out} cannot be written: this PyAV has no encoder {encoding.encoder}; install PyAV's wheel"
        ) from error


def _files_of(out: Path) -> list[Path]:
    """The video, and its sidecar if its container cannot hold Content Credentials."""
    return [out] if out.suffix.lower() in MEDIA_TYPES else [out, sidecar_of(out)]


class Recording:
    """A video file that appears under its name only when it is complete.

    Pictures go to a hidden file beside `out`, which `keep()` renames. Leaving the context without `keep()` deletes it
    and touches nothing else. The first picture sets the size; odd sizes are made even by repeating the last row or
    column.

    out: has a suffix of `CONTAINERS`. time_base: unit of the times passed to `write`. frame_rate: the average, a hint
    for the encoder. sound: the sound to add, if any; closed with the recording. replace: whether `out` may exist.
    marks: what the file says about itself; None only for footage that shows nothing drawn.
    keeps_opacity: pictures have an opacity, and the file keeps it. from_first_picture: for live sessions, whose source
    begins earlier and may go on later: time 0 is that of the first picture, and the sound ends with the last one.
    """

    def __init__(
        self,
        out: Path,
        *,
        time_base: Fraction,
        frame_rate: Fraction,
        marks: FileMarks | None,
        sound: SoundTrack | None = None,
        replace: bool = False,
        keeps_opacity: bool = False,
        from_first_picture: bool = False,
    ) -> None:
        self.out = out
        self._encoding = (_TRANSPARENT if keeps_opacity else _OPAQUE)[out.suffix.lower()]
        self._keeps_opacity = keeps_opacity
        self._from_first_picture = from_first_picture
        self.pictures = 0
        self._first_pts = 0
        self._time_base = time_base
        self._frame_rate = frame_rate
        self._marks = marks
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
                if self._marks is not None:
                    self._marks.discard()
        if self._sound is not None:
            self._sound.close()

    def write(self, picture: Picture | RgbaPicture, pts: int) -> None:
        """Add a picture at `pts`, which must rise strictly. Raises UnwritableVideo.

        picture: `[H, W, 3]` uint8 RGB, or `[H, W, 4]` with straight alpha if the recording keeps the opacity.
        """
        height_px, width_px = picture.shape[:2]
        if self._stream is None:
            self._first_pts = pts if self._from_first_picture else 0
            self._start(width_px, height_px)
        pts -= self._first_pts
        if self._size != (width_px, height_px):
            raise UnwritableVideo(f"{self.out}: a picture of {width_px}x{height_px} came after one of {self._size}")
        even = np.pad(picture, ((0, height_px % 2), (0, width_px % 2), (0, 0)), mode="edge")
        pixels = with_colours_spread(even) if self._keeps_opacity else np.ascontiguousarray(even)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgba" if self._keeps_opacity else "rgb24")
        frame = frame.reformat(
            format=self._encoding.pixel_format, dst_colorspace=Colorspace.ITU709, dst_color_range="MPEG"
        )
        frame.pts, frame.time_base = pts, self._time_base
        try:
            if self._sound is not None:
                self._container.mux(list(self._sound.packets_until(float(pts * self._time_base))))
            self._container.mux(self._stream.encode(frame))
        except (av.error.FFmpegError, OSError) as error:
            raise UnwritableVideo(f"{self.out} cannot be written: {reason(error)}") from error
        self.pictures += 1

    def keep(self) -> None:
        """Finish the file, sign it and rename it to `out`. Raises UnwritableVideo, also if no picture was written."""
        if self._stream is None:
            raise UnwritableVideo(f"{self.out}: there is no picture to write")
        try:
            self._container.mux(self._stream.encode(None))
            if self._sound is not None and not self._from_first_picture:
                self._container.mux(list(self._sound.packets_until(None)))
            self._container.close()
            for path in _files_of(self.out):
                if path.exists() and not self._replace:
                    raise UnwritableVideo(f"{path} was created in the meantime; --force overwrites it")
            if self._marks is not None:
                self._marks.sign(self._part, self.out)
                self._marks.name(self._part, self.out)
            else:
                self._part.replace(self.out)
        except (av.error.FFmpegError, CannotSign, OSError) as error:
            raise UnwritableVideo(f"{self.out} cannot be written: {reason(error)}") from error
        self._kept = True

    def _start(self, width_px: int, height_px: int) -> None:
        self._size = (width_px, height_px)
        stream = self._container.add_stream(self._encoding.encoder, rate=self._frame_rate)
        stream.width, stream.height = width_px + width_px % 2, height_px + height_px % 2
        stream.pix_fmt = self._encoding.pixel_format
        stream.options = self._encoding.options
        if self._keeps_opacity:
            stream.metadata["alpha_mode"] = "1"  # WebM's sign of an opacity
        if self._marks is not None:
            self._container.metadata["comment"] = self._marks.comment
        context = stream.codec_context
        context.time_base = self._time_base
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        self._stream = stream
        if self._sound is not None:
            begins_s = float(self._first_pts * self._time_base)
            self._sound.attach(self._container, self._encoding.copied_sound, self._encoding.sound_encoder, begins_s)
