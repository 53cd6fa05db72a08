"""Reads upright frames with their times from videos, cameras and streams, with PyAV."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import av.error

from motion.frame import Picture
from serving.errors import UnreadableVideo
from video.counting import counted_frames
from video.deinterlace import Deinterlacer
from video.opening import chosen_sound, chosen_video, is_endless, opened, reason
from video.pictures import PictureMaker
from video.timeline import Timeline, may_jump

_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_ANY_RATE: Final = Fraction(25)
_RATES: Final = (Fraction(1, 60), Fraction(1000))
_STILL_WHERE_ALONE: Final = frozenset({"gif", "apng"})


@dataclass(frozen=True, slots=True, eq=False)
class SourceFrame:
    """One decoded frame.

    index: counts from 0 without gaps. pts: presentation time in units of the video's `time_base`, strictly rising.
    pixels: `[H, W, 3]` uint8 RGB, upright, square pixels.
    """

    index: int
    pts: int
    seconds: float
    pixels: Picture


class VideoReader:
    """Reads the frames of a video file, a camera or a stream's address, in display order and all of one size.

    Display matrices (rotation, mirroring) are applied, pixels are made square, interlaced frames are deinterlaced, HDR
    becomes standard video, and clocks that restart continue (see `PictureMaker`, `Deinterlacer` and `Timeline`). For a
    truncated or damaged file, all decodable frames are read, and `lost_frames` counts the others. Not thread-safe,
    except for `notes`. A context manager.

    Raises UnreadableVideo with a one-line message if the file is missing or empty or contains no video.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._container = opened(source)
        try:
            self._stream, self._notes = chosen_video(self._container, source)
            self._stream.thread_type = "AUTO"
        except BaseException:
            self._container.close()
            raise
        self._sound = chosen_sound(self._container)[0]
        self.time_base: Fraction = self._stream.time_base or Fraction(1, 90_000)
        self.frame_rate = self._believable_rate()
        self.start_seconds = self._start_seconds()
        metadata = {name.lower(): value for name, value in self._stream.metadata.items()}
        hidden_alpha = metadata.get("alpha_mode") == "1"  # WebM stores alpha separately, where FFmpeg ignores it
        self._pictures = PictureMaker(source, self._stream.sample_aspect_ratio, hidden_alpha=hidden_alpha)
        self._deinterlacer = Deinterlacer(self.time_base)
        self._timeline = Timeline(self._container, 1 / self.frame_rate)
        self._discarded = 0
        self._failed_packets = 0
        self._decoded = 0
        self._reached_end = False
        self._last_pts: int | None = None
        # AVI stores only decoding times: the first picture shown gets the first of them, and so on.
        self._decoding_times: deque[int | None] | None = deque() if self._container.format.name == "avi" else None
        self._promised = self._believable_frames()

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the video's owner; complete after the last frame."""
        notes = [*self._notes, *self._pictures.notes]
        if self._deinterlacer.seen:
            notes.append("it is interlaced: its frames are deinterlaced")
        joints = self._timeline.parts - 1
        if joints:
            times = "once" if joints == 1 else f"{joints} times"
            notes.append(f"its clock restarts or jumps {times}: later frames continue without a gap")
        return tuple(notes)

    @property
    def has_sound(self) -> bool:
        """Whether it has a sound track that can be read."""
        return self._sound is not None

    @property
    def frame_rate_hz(self) -> float:
        """The container's average frame rate."""
        return float(self.frame_rate)

    @property
    def expected_frames(self) -> int | None:
        """The number of frames if it is known before decoding, else None.

        This is the container's number, or an estimate if it stores only a duration. In formats whose clock may jump the
        duration is unreliable, so the packets are counted, which reads the file once.
        """
        if not is_endless(self.source) and may_jump(self._container) and self._container.duration is not None:
            return counted_frames(self.source)
        return self._promised

    @property
    def plays_by_itself(self) -> bool:
        """Whether frames arrive in real time, as from a camera. A file, even at an address, must be paced."""
        return is_endless(self.source) and self._container.duration is None

    @property
    def lost_frames(self) -> int:
        """The number of the file's promised frames that could not be decoded, of those that were read.

        After the last frame it covers the whole file. It is exact if the format has a frame index. Otherwise it is the
        number of frames that failed to decode, plus an estimate from the promised duration if the file ends early; if
        the clock restarts or jumps, the duration is not used.
        """
        if not self._reached_end or self._promised is None or self._last_pts is None:
            return self._failed_packets
        if self._indexed_frames():
            return max(0, self._indexed_frames() - self._discarded - self._decoded)
        promised_seconds = self._duration_seconds()
        if promised_seconds is None or self._timeline.parts > 1:
            return self._failed_packets
        end_seconds = float(self._last_pts * self.time_base) + 1 / self.frame_rate_hz
        missing_seconds = promised_seconds - end_seconds
        # Durations are rounded and rates are averages, so a small difference does not count as loss.
        if missing_seconds <= max(0.5, 2 / self.frame_rate_hz):
            return self._failed_packets
        return round(missing_seconds * self.frame_rate_hz) + self._failed_packets

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._container.close()

    def frames(self) -> Iterator[SourceFrame]:
        """Yield all frames; call it only once. Raises UnreadableVideo if not a single frame decodes."""
        for decoded in self._decoded_frames():
            for frame in self._deinterlacer.frames(decoded):
                yield self._source_frame(frame)
        for frame in self._deinterlacer.rest():
            yield self._source_frame(frame)
        if self._decoded == 0:
            raise UnreadableVideo(f"{self.source}: not a single frame can be decoded")
        if self._decoded == 1 and self._container.format.name in _STILL_WHERE_ALONE:
            raise UnreadableVideo(f"{self.source} is a still picture, not a video")

    def _decoded_frames(self) -> Iterator[Any]:
        # If the video's clock jumps, the sound shows whether time really passed.
        packets = self._container.demux([self._stream] if self._sound is None else [self._stream, self._sound])
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                self._reached_end = True
                return
            except av.error.FFmpegError as error:
                self._reached_end = True
                # The file is truncated, but the decoder still holds frames. `lost_frames` counts the missing ones.
                if isinstance(error, av.error.ExitError):
                    self._notes.append(f"it broke off: {reason(error)}")
                yield from map(self._dated, self._stream.decode(None))
                return
            if packet.stream.index != self._stream.index:
                self._timeline.see_sound(packet)
                continue
            holds_data = bool(packet.size)
            self._discarded += packet.is_discard  # needed to decode other frames, but removed by an edit list
            self._timeline.place(packet)
            if self._decoding_times is not None and holds_data:
                self._decoding_times.append(packet.dts)
            try:
                yield from map(self._dated, packet.decode())
            except av.error.FFmpegError:
                self._failed_packets += holds_data
                if self._decoding_times:
                    self._decoding_times.popleft()

    def _dated(self, frame: Any) -> Any:
        if self._decoding_times is not None:
            frame.pts = self._decoding_times.popleft() if self._decoding_times else None
        return frame

    def _source_frame(self, frame: Any) -> SourceFrame:
        pts = self._rising_pts(frame)
        index = self._decoded
        self._decoded += 1
        return SourceFrame(index, pts, float(pts * self.time_base), self._pictures.picture(frame))

    def _rising_pts(self, frame: Any) -> int:
        step = max(1, round(1 / (self.frame_rate * self.time_base)))
        pts = frame.pts
        if pts is not None and frame.time_base is not None and frame.time_base != self.time_base:
            pts = round(pts * frame.time_base / self.time_base)
        if pts is None:
            pts = 0 if self._last_pts is None else self._last_pts + step
        else:
            pts -= round(self.start_seconds / self.time_base)
        # Damaged files repeat times, but writers need them to rise. Half a step is visible and is caught up later.
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + max(1, step // 2)
        self._last_pts = pts
        return int(pts)

    def _start_seconds(self) -> float:
        """Return the time to subtract from pictures and sound: transport streams start at arbitrary times."""
        tracks = [self._stream] if self._sound is None else [self._stream, self._sound]
        starts = [float(track.start_time * track.time_base) for track in tracks if track.start_time is not None]
        if not starts:
            return max(0.0, (self._container.start_time or 0) / av.time_base)
        # A negative start of the sound alone is encoder priming, which players skip.
        first = min(starts)
        return first if first > 0 else min(0.0, starts[0])

    def _believable_rate(self) -> Fraction:
        stream = self._stream
        claimed = [rate for rate in (stream.average_rate, stream.codec_context.framerate) if rate]
        for rate in (*claimed, *([stream.guessed_rate] if stream.guessed_rate else [])):
            if _RATES[0] <= rate <= _RATES[1]:
                return Fraction(rate)
        if claimed:
            self._notes.append(f"it claims {float(claimed[0]):g} frames per second: {_ANY_RATE} are assumed")
        return _ANY_RATE

    def _believable_frames(self) -> int | None:
        if is_endless(self.source):
            return None
        duration_seconds = self._duration_seconds()
        promised = self._indexed_frames()
        if not promised and duration_seconds is not None:
            promised = max(1, round(duration_seconds * self.frame_rate_hz))
        size_bytes = Path(self.source).stat().st_size
        if promised > size_bytes:
            if not may_jump(self._container):
                self._notes.append(f"it promises {promised} frames, more than its {size_bytes} bytes can hold")
            return None
        return promised or None

    def _indexed_frames(self) -> int:
        """Return the number of frames in the demuxer's index, with edit lists applied; 0 without an index."""
        if "mp4" not in self._container.format.name or self._stream.frames == 0:
            return 0
        return len(self._stream.index_entries)

    def _duration_seconds(self) -> float | None:
        """Return the duration of the video track alone, if the container states it."""
        if self._stream.duration is not None:
            return float(self._stream.duration * self.time_base)
        tag = _CLOCK.match(self._stream.metadata.get("DURATION", ""))
        if tag:
            hours, minutes, seconds = tag.groups()
            return self._since_start(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
        # The container's duration is that of its longest track, which may be the sound.
        if self._container.duration is not None and not self._container.streams.audio:
            duration_seconds = float(self._container.duration / av.time_base)
            is_matroska = "matroska" in self._container.format.name
            return self._since_start(duration_seconds) if is_matroska else duration_seconds
        return None

    def _since_start(self, end_seconds: float) -> float:
        """Convert Matroska's duration, which counts from 0 even if the first frame is shown later."""
        return max(0.0, end_seconds - max(0.0, self.start_seconds))
