"""Reads videos, cameras and streams with PyAV, upright and with their times."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import av
import av.error

from motion.frame import Picture
from serving.errors import UnreadableVideo
from video.counting import counted_frames
from video.deinterlace import Deinterlacer
from video.opening import chosen_sound, chosen_video, is_endless, opened
from video.pictures import PictureMaker
from video.timeline import Timeline, may_jump

_CLOCK: Final = re.compile(r"(\d+):(\d+):(\d+(?:\.\d+)?)")
_ANY_RATE: Final = Fraction(25)
_RATES: Final = (Fraction(1, 60), Fraction(1000))
_STILL_WHERE_ALONE: Final = frozenset({"gif", "apng"})


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
    """The frames of a video file, a camera or a stream's address, in the order they are shown, all of one size.

    A display matrix (rotation, mirroring) is applied, pixels that are not square are made square, interlaced frames are
    deinterlaced, HDR becomes ordinary video, and times that start again go on (`PictureMaker`, `Deinterlacer` and
    `Timeline` say how). A file that is cut off or damaged gives what decodes; `lost_frames` then says what did not.
    Not thread-safe, but for `notes`; a context manager.

    Raises UnreadableVideo, in one line, for a file that is missing or empty, or in which there is no video.
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
        told = {name.lower(): value for name, value in self._stream.metadata.items()}
        hidden_alpha = told.get("alpha_mode") == "1"  # WebM keeps it beside the pictures, where FFmpeg leaves it
        self._pictures = PictureMaker(source, self._stream.sample_aspect_ratio, hidden_alpha=hidden_alpha)
        self._deinterlacer = Deinterlacer(self.time_base)
        self._timeline = Timeline(self._container, 1 / self.frame_rate)
        self._discarded = 0
        self._failed_packets = 0
        self._decoded = 0
        self._last_pts: int | None = None
        # AVI has decoding times alone: the first picture is shown at the first of them, and so on.
        self._decoding_times: deque[int | None] | None = deque() if self._container.format.name == "avi" else None
        self._promised = self._believable_frames()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about this video that its owner should know, so far: complete behind the last frame."""
        notes = [*self._notes, *self._pictures.notes]
        if self._deinterlacer.seen:
            notes.append("it is interlaced: its frames are deinterlaced")
        joints = self._timeline.parts - 1
        if joints:
            times = "once" if joints == 1 else f"{joints} times"
            notes.append(f"its clock starts again or jumps {times}: what follows is joined to what came before")
        return tuple(notes)

    @property
    def frame_rate_hz(self) -> float:
        """Average frame rate as the container says it."""
        return float(self.frame_rate)

    @property
    def expected_frames(self) -> int | None:
        """How many frames there are, as far as that is known before they are decoded; else None.

        The container's number; an estimate where it stores only a duration; where the clock may jump, so that its
        duration says little, the packets are counted, which reads the file once.
        """
        if not is_endless(self.source) and may_jump(self._container) and self._container.duration is not None:
            return counted_frames(self.source)
        return self._promised

    @property
    def plays_by_itself(self) -> bool:
        """Whether frames arrive at their own rate, as from a camera. A file, also behind an address, must be paced."""
        return is_endless(self.source) and self._container.duration is None

    @property
    def lost_frames(self) -> int:
        """After the last frame: how many that the file promises could not be decoded.

        Exact where the format has an index of its frames; elsewhere those that failed one by one, and an estimate from
        the promised duration where a file ends early. Where a clock starts again or jumps, a duration says nothing.
        """
        if self._promised is None or self._last_pts is None:
            return self._failed_packets
        if self._indexed_frames():
            return max(0, self._indexed_frames() - self._discarded - self._decoded)
        promised_seconds = self._duration_seconds()
        if promised_seconds is None or self._timeline.parts > 1:
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
        for decoded in self._decoded_frames():
            for frame in self._deinterlacer.frames(decoded):
                yield self._source_frame(frame)
        for frame in self._deinterlacer.rest():
            yield self._source_frame(frame)
        if self._decoded == 0:
            raise UnreadableVideo(f"{self.source}: not a single frame can be decoded")
        if self._decoded == 1 and self._container.format.name in _STILL_WHERE_ALONE:
            raise UnreadableVideo(f"{self.source} is a still picture, and has no video in it")

    def _decoded_frames(self) -> Iterator[Any]:
        # Where a clock jumps, the sound says whether time went by.
        packets = self._container.demux([self._stream] if self._sound is None else [self._stream, self._sound])
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.FFmpegError:
                # Broken off: the decoder still holds frames. `lost_frames` says what was promised beyond them.
                yield from map(self._dated, self._stream.decode(None))
                return
            if packet.stream.index != self._stream.index:
                self._timeline.see_sound(packet)
                continue
            holds_data = bool(packet.size)
            self._discarded += packet.is_discard  # decoded for others' sake, and cut away by an edit list
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
        # Damaged files repeat times; a writer needs them to rise. Half a step is seen, and is caught up with later.
        if self._last_pts is not None and pts <= self._last_pts:
            pts = self._last_pts + max(1, step // 2)
        self._last_pts = pts
        return int(pts)

    def _start_seconds(self) -> float:
        """Transport streams count from anywhere; sound and pictures are both moved by the same start."""
        tracks = [self._stream] if self._sound is None else [self._stream, self._sound]
        starts = [float(track.start_time * track.time_base) for track in tracks if track.start_time is not None]
        if not starts:
            return max(0.0, (self._container.start_time or 0) / av.time_base)
        # A negative start of the sound alone is its encoder's, which players cut off.
        first = min(starts)
        return first if first > 0 else min(0.0, starts[0])

    def _believable_rate(self) -> Fraction:
        stream = self._stream
        told = [rate for rate in (stream.average_rate, stream.codec_context.framerate) if rate]
        for rate in (*told, *([stream.guessed_rate] if stream.guessed_rate else [])):
            if _RATES[0] <= rate <= _RATES[1]:
                return Fraction(rate)
        if told:
            self._notes.append(f"it says that it has {float(told[0]):g} frames a second: {_ANY_RATE} are assumed")
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
            return self._since_start(int(hours) * 3600 + int(minutes) * 60 + float(seconds))
        # The container's duration is that of its longest track, which may be the sound.
        if self._container.duration is not None and not self._container.streams.audio:
            told = float(self._container.duration / av.time_base)
            return self._since_start(told) if "matroska" in self._container.format.name else told
        return None

    def _since_start(self, end_seconds: float) -> float:
        """Matroska counts its durations from 0, also where the first frame is shown later."""
        return max(0.0, end_seconds - max(0.0, self.start_seconds))
