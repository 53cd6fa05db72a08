"""Reads videos, cameras and streams with PyAV, upright and with their times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import av
import av.error
import numpy as np
from av.sidedata.sidedata import Type as SideDataType

from motion.frame import Picture
from serving.errors import UnreadableVideo

_STREAM_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_CAMERA: Final = re.compile(r"\d+|/dev/video\d+")
_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_ANY_RATE: Final = Fraction(25)
# FFmpeg has kinds of side data that PyAV's list lacks, EXIF (31) among them. PyAV would raise a ValueError for all side
# data of such a frame; with this such a kind is read as one that is not looked at here.
setattr(SideDataType, "_missing_", lambda number: SideDataType.ICC_PROFILE)  # noqa: B010 - mypy: no assignment
_IMAGE_FORMATS: Final = frozenset({"image2", "png_pipe", "jpeg_pipe", "bmp_pipe", "webp_pipe", "tiff_pipe", "svg_pipe"})


def is_endless(source: str) -> bool:
    """Whether `source` is a camera ("0", "/dev/video0") or a stream's address and not a file."""
    return bool(_CAMERA.fullmatch(source) or _STREAM_ADDRESS.match(source))


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """One decoded frame.

    index: counts from 0 without gaps. pts: its presentation time in units of the video's `time_base`; rises strictly.
    pixels: `[H, W, 3]` uint8 RGB, upright, square pixels.
    """

    index: int
    pts: int
    seconds: float
    pixels: Picture


class VideoReader:
    """The frames of a video file, a camera or a stream's address, in the order they are shown.

    A display matrix (rotation, mirroring) is applied, and pixels that are not square are made square. A file that is
    cut off or damaged gives what decodes; `lost_frames` then says what did not. Not thread-safe; a context manager.

    Raises UnreadableVideo, in one line, for a file that is missing or empty, or in which there is no video.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._container = _opened(source)
        try:
            if not self._container.streams.video or self._container.format.name in _IMAGE_FORMATS:
                raise UnreadableVideo(f"{source} has no video in it")
            self._stream = self._container.streams.video[0]
            self._stream.thread_type = "AUTO"
        except BaseException:
            self._container.close()
            raise
        self.time_base: Fraction = self._stream.time_base or Fraction(1, 90_000)
        self.frame_rate: Fraction = self._stream.average_rate or self._stream.guessed_rate or _ANY_RATE
        # Transport streams count from anywhere; sound and pictures are both moved by the same start.
        self.start_seconds: float = max(0.0, (self._container.start_time or 0) / av.time_base)
        self._discarded = 0
        self._failed_packets = 0
        self._decoded = 0
        self._last_pts: int | None = None

    @property
    def frame_rate_hz(self) -> float:
        """Average frame rate as the container says it."""
        return float(self.frame_rate)

    @property
    def expected_frames(self) -> int | None:
        """How many frames the container promises; an estimate for formats that store only a duration, else None."""
        if is_endless(self.source):
            return None
        stored = self._indexed_frames()
        if stored:
            return stored
        duration_seconds = self._duration_seconds()
        return None if duration_seconds is None else max(1, round(duration_seconds * self.frame_rate_hz))

    @property
    def plays_by_itself(self) -> bool:
        """Whether frames arrive at their own rate, as from a camera. A file, also behind an address, must be paced."""
        return is_endless(self.source) and self._container.duration is None

    @property
    def lost_frames(self) -> int:
        """After the last frame: how many that the file promises could not be decoded.

        Exact where the format has an index of its frames; elsewhere those that failed one by one, and an estimate from
        the promised duration where a file ends early.
        """
        if self._indexed_frames():
            return max(0, self._indexed_frames() - self._discarded - self._decoded)
        promised_seconds = self._duration_seconds()
        if promised_seconds is None or self._last_pts is None or is_endless(self.source):
            return self._failed_packets
        end_seconds = float(self._last_pts * self.time_base) + 1 / self.frame_rate_hz
        missing_seconds = promised_seconds - end_seconds
        # Durations are rounded and rates are averages: a small difference is no loss.
        if missing_seconds <= max(0.5, 2 / self.frame_rate_hz):
            return self._failed_packets
        return round(missing_seconds * self.frame_rate_hz) + self._failed_packets

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file. Safe to call twice."""
        self._container.close()

    def frames(self) -> Iterator[SourceFrame]:
        """The frames from the first on; call it once. Raises UnreadableVideo when not a single one decodes."""
        for frame in self._decoded_frames():
            yield self._source_frame(frame)
        if self._decoded == 0:
            raise UnreadableVideo(f"{self.source}: not a single frame can be decoded")

    def _decoded_frames(self) -> Iterator[Any]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # Broken off: the decoder still holds frames. `lost_frames` says what was promised beyond them.
                yield from self._stream.decode(None)
                return
            holds_data = bool(packet.size)
            self._discarded += packet.is_discard  # decoded for others' sake, and cut away by an edit list
            try:
                yield from packet.decode()
            except av.error.FFmpegError:
                self._failed_packets += holds_data

    def _source_frame(self, frame: Any) -> SourceFrame:
        pts = self._rising_pts(frame)
        index = self._decoded
        self._decoded += 1
        pixels = _upright_pixels(frame, self._stream.sample_aspect_ratio)
        return SourceFrame(index, pts, float(pts * self.time_base), pixels)

    def _rising_pts(self, frame: Any) -> int:
        step = max(1, round(1 / (self.frame_rate * self.time_base)))
        pts = frame.pts
        if pts is not None and frame.time_base is not None and frame.time_base != self.time_base:
            pts = round(pts * frame.time_base / self.time_base)
        if pts is None:
            pts = 0 if self._last_pts is None else self._last_pts + step
        else:
            pts -= round(self.start_seconds / self.time_base)
        # Damaged files repeat times; a writer needs them to rise.
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + 1
        self._last_pts = pts
        return int(pts)

    def _indexed_frames(self) -> int:
        """Frames that the demuxer will give by its own index, edit lists applied; 0 where there is no such index."""
        if "mp4" not in self._container.format.name or self._stream.frames == 0:
            return 0
        return len(self._stream.index_entries)

    def _duration_seconds(self) -> float | None:
        """Of the video alone, as far as the container says it."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self.time_base)
        tag = _CLOCK.match(self._stream.metadata.get("DURATION", ""))
        if tag:
            hours, minutes, seconds = tag.groups()
            return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        # The container's duration is that of its longest track, which may be the sound.
        if self._container.duration is not None and not self._container.streams.audio:
            return float(self._container.duration / av.time_base)
        return None


def _opened(source: str) -> Any:
    if is_endless(source):
        device = f"/dev/video{source}" if source.isdecimal() else source
        camera = _CAMERA.fullmatch(source) is not None
        try:
            return av.open(device, format="v4l2" if camera else None, timeout=(10.0, 5.0))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UnreadableVideo(f"{device} cannot be opened: {reason(error)}") from error
    path = Path(source)
    if not path.exists():
        raise UnreadableVideo(f"{source} does not exist")
    if path.is_dir():
        raise UnreadableVideo(f"{source} is a folder, not a video")
    try:
        if path.stat().st_size == 0:
            raise UnreadableVideo(f"{source} is empty")
        return av.open(source, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnreadableVideo(f"{source} is no video that can be read: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """FFmpeg's or the system's own words, without the number and the name of the file."""
    words = getattr(error, "strerror", None) or str(error)
    return " ".join(str(words).split()).lower() or type(error).__name__


def _upright_pixels(frame: Any, pixel_aspect_ratio: Fraction | None) -> Picture:
    width_px = max(1, round(frame.width * pixel_aspect_ratio)) if pixel_aspect_ratio else frame.width
    pixels = frame.reformat(width=width_px, format="rgb24", dst_color_range="JPEG").to_ndarray()
    matrix = frame.side_data.get(SideDataType.DISPLAYMATRIX)
    return pixels if matrix is None else turned(pixels, np.frombuffer(matrix, np.int32))


def turned(pixels: Picture, display_matrix: np.ndarray[Any, np.dtype[np.int32]]) -> Picture:
    """`pixels` as FFmpeg's display matrix (`[9]` int32) wants them shown: turned by quarters and mirrored.

    The matrix (a, b, u, c, d, v, x, y, w) takes a point to (a x + c y, b x + d y); its place (x, y) means nothing for a
    picture alone. Angles between the quarters are taken to the nearest.
    """
    a, b, c, d = (int(display_matrix[i]) for i in (0, 1, 3, 4))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        mirrored_x, mirrored_y = a < 0, d < 0
    else:
        pixels = pixels.transpose(1, 0, 2)
        mirrored_x, mirrored_y = c < 0, b < 0
    if mirrored_x:
        pixels = pixels[:, ::-1]
    if mirrored_y:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
