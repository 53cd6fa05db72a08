"""Reads the sound of a video, in step with its pictures, for a file that is written."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final

import av
import av.error

from video.opening import chosen_sound, chosen_video, opened
from video.timeline import Timeline, move

_AAC_RATES_HZ: Final = frozenset({8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000})


class SoundTrack:
    """The sound of a file, for a file that is written: copied where its container takes the codec, else made AAC.

    A file without sound, or with sound that FFmpeg does not know, is fine; `codec` is None then, and `notes` says why.
    Sound that breaks off ends there. Where the video's clock starts again, sound goes with it (`Timeline`).

    start_seconds, frame_rate: the `VideoReader`'s of the same file.
    """

    def __init__(self, source: str, start_seconds: float = 0.0, frame_rate: Fraction = Fraction(25)) -> None:
        self._input: Any = opened(source)
        chosen, self.notes = chosen_sound(self._input)
        self._source: Any = chosen
        self._start_seconds = start_seconds
        videos = [stream for stream in self._input.streams.video if stream.codec_context is not None]
        self._video: Any = chosen_video(self._input, source)[0] if videos else None
        self._timeline = Timeline(self._input, 1 / frame_rate)
        self._output: Any = None
        self._waiting: Any = None
        self._packets: Iterator[Any] = iter(())

    @property
    def codec(self) -> str | None:
        """Name of the source's codec; None when there is no sound."""
        return None if self._source is None else str(self._source.codec_context.codec.canonical_name)

    def close(self) -> None:
        """Closes the file."""
        self._input.close()

    def attach(self, container: Any, copied_codecs: frozenset[str] | None) -> None:
        """Adds a track to the container that is written, before its first packet. None copies what it takes."""
        if self._source is None:
            return
        if self.codec in (container.supported_codecs if copied_codecs is None else copied_codecs):
            self._output = container.add_stream_from_template(self._source)
            self._packets = self._copies()
        else:
            context = self._source.codec_context
            rate_hz = context.sample_rate if context.sample_rate in _AAC_RATES_HZ else 48_000
            self._output = container.add_stream("aac", rate=rate_hz)
            self._output.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
            self._packets = self._encoded()

    def packets_until(self, seconds: float | None) -> Iterator[Any]:
        """Packets that begin up to `seconds`; all that are left for None."""
        while True:
            packet = self._waiting if self._waiting is not None else next(self._packets, None)
            self._waiting = None
            if packet is None:
                return
            at = packet.dts if packet.dts is not None else packet.pts
            if seconds is not None and at is not None and float(at * packet.time_base) > seconds:
                self._waiting = packet
                return
            yield packet

    def _copies(self) -> Iterator[Any]:
        last: int | None = None
        for packet in self._demuxed():
            # A part may begin a few milliseconds before the one before it ends.
            if packet.dts is None or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.stream = self._output
            yield packet

    def _encoded(self) -> Iterator[Any]:
        context = self._output.codec_context
        resampler = av.AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)
        for packet in self._demuxed():
            try:
                decoded = packet.decode()
            except av.error.FFmpegError:
                continue  # one damaged packet costs a few milliseconds of sound
            for frame in decoded:
                for piece in resampler.resample(frame):
                    yield from self._output.encode(piece)
        for piece in resampler.resample(None):
            yield from self._output.encode(piece)
        yield from self._output.encode(None)

    def _demuxed(self) -> Iterator[Any]:
        """The packets, each with the times of its part, less the start."""
        start = -Fraction(self._start_seconds)
        part, held = 0, list[Any]()
        for packet in self._in_order():
            if packet.stream.index != self._source.index:
                self._timeline.place(packet)
                if held and self._timeline.parts > part:
                    yield from (self._moved(one, part, start) for one in held)
                    held.clear()
                continue
            if self._timeline.see_sound(packet):
                # The sound came to a joint: to the part where the video is, or that it will come to next.
                part = max(part + 1, self._timeline.parts - 1)
            if part < self._timeline.parts:
                yield self._moved(packet, part, start)
            else:
                held.append(packet)
        # The video ended before the sound's last joint.
        yield from (self._moved(one, self._timeline.parts - 1, start) for one in held)

    def _moved(self, packet: Any, part: int, start: Fraction) -> Any:
        move(packet, self._timeline.offset_seconds(part) + start)
        return packet

    def _in_order(self) -> Iterator[Any]:
        wanted = [self._source] if self._video is None else [self._source, self._video]
        packets = self._input.demux(*wanted)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.FFmpegError):
                return
            # What flushes the decoders has no place in time; the sound's own goes through.
            if packet.size or packet.stream.index == self._source.index:
                yield packet
