"""Reads a video's sound, in sync with its pictures, to write it to another file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from typing import Any, Final

import av
import av.error

from video.opening import chosen_sound, chosen_video, opened
from video.timeline import Timeline, move

_RATES_HZ: Final = {
    "aac": frozenset({8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000}),
    "libopus": frozenset({8000, 12_000, 16_000, 24_000, 48_000}),
}
_USUAL_RATE_HZ: Final = 48_000


class SoundTrack:
    """A file's sound track, for writing: copied if the output's container supports the codec, else encoded.

    Files without sound, or with sound unknown to FFmpeg, are accepted; then `codec` is None and `notes` has the reason.
    Damaged sound ends where it breaks off. If the video's clock restarts, the sound follows it (`Timeline`).

    start_seconds, frame_rate: those of the same file's `VideoReader`.
    """

    def __init__(self, source: str, start_seconds: float = 0.0, frame_rate: Fraction = Fraction(25)) -> None:
        self._input: Any = opened(source)
        chosen, self.notes = chosen_sound(self._input)
        self._source: Any = chosen
        self._start_seconds = start_seconds
        self._begins_s = 0.0
        videos = [stream for stream in self._input.streams.video if stream.codec_context is not None]
        self._video: Any = chosen_video(self._input, source)[0] if videos else None
        self._timeline = Timeline(self._input, 1 / frame_rate)
        self._output: Any = None
        self._waiting: Any = None
        self._packets: Iterator[Any] = iter(())

    @property
    def codec(self) -> str | None:
        """Name of the source's codec; None without sound."""
        return None if self._source is None else str(self._source.codec_context.codec.canonical_name)

    def close(self) -> None:
        """Close the file."""
        self._input.close()

    def attach(
        self, container: Any, copied_codecs: frozenset[str] | None, encoder: str = "aac", begins_s: float = 0.0
    ) -> None:
        """Add a track to the output container before its first packet is written.

        copied_codecs: codecs to copy; None for all that the container supports. encoder: for other codecs; aac or
        libopus. begins_s: the source's time that is the output's time 0; earlier sound is left out.
        """
        self._begins_s = begins_s
        if self._source is None:
            return
        if self.codec in (container.supported_codecs if copied_codecs is None else copied_codecs):
            self._output = container.add_stream_from_template(self._source)
            self._packets = self._copies()
        else:
            context = self._source.codec_context
            rate_hz = context.sample_rate if context.sample_rate in _RATES_HZ[encoder] else _USUAL_RATE_HZ
            self._output = container.add_stream(encoder, rate=rate_hz)
            self._output.layout = "mono" if context.layout.nb_channels == 1 else "stereo"
            self._packets = self._encoded()

    def packets_until(self, seconds: float | None) -> Iterator[Any]:
        """Yield the packets that begin up to `seconds`, or all remaining ones for None."""
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
            # A part may begin a few milliseconds before the previous one ends.
            if packet.dts is None or (last is not None and packet.dts <= last):
                continue
            last = packet.dts
            packet.stream = self._output
            yield packet

    def _encoded(self) -> Iterator[Any]:
        context = self._output.codec_context
        resampler = av.AudioResampler(format=context.format, layout=context.layout, rate=context.sample_rate)
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
        """Yield the packets from the output's time 0 on; a file's own start may lie a little before it."""
        for packet in self._in_parts():
            if not self._begins_s or packet.pts is None or packet.pts >= 0:
                yield packet

    def _in_parts(self) -> Iterator[Any]:
        """Yield the packets, shifted by their part's offset and by the start time."""
        start = -Fraction(self._start_seconds + self._begins_s)
        part, held = 0, list[Any]()
        for packet in self._in_order():
            if packet.stream.index != self._source.index:
                self._timeline.place(packet)
                if held and self._timeline.parts > part:
                    yield from (self._moved(one, part, start) for one in held)
                    held.clear()
                continue
            if self._timeline.see_sound(packet):
                # The sound's clock restarted: it continues in the video's current part, or in the next one.
                part = max(part + 1, self._timeline.parts - 1)
            if part < self._timeline.parts:
                yield self._moved(packet, part, start)
            else:
                held.append(packet)
        # The video ended before the sound's last restart.
        yield from (self._moved(one, self._timeline.parts - 1, start) for one in held)

    def _moved(self, packet: Any, part: int, start: Fraction) -> Any:
        move(packet, self._timeline.offsets_seconds[part] + start)
        return packet

    def _in_order(self) -> Iterator[Any]:
        wanted = [self._source] if self._video is None else [self._source, self._video]
        with suppress(av.error.FFmpegError):
            for packet in self._input.demux(*wanted):
                # Flush packets have no time; only the sound's own are passed on.
                if packet.size or packet.stream.index == self._source.index:
                    yield packet
