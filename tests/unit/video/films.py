"""Writes videos of a few small frames for tests; each frame's grey level encodes its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from motion.frame import Picture

WIDTH_PX, HEIGHT_PX = 64, 48
RATE_HZ = 10
SOUND_HZ = 48_000


def level(number: int) -> int:
    """Return the grey level of frame `number`, in steps that survive every codec; at most 240, for 11 frames."""
    return 40 + 20 * number


def picture(number: int, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Picture:
    """Return a grey picture with a red square in the upper left corner and a blue one in the lower right."""
    made = np.full((height_px, width_px, 3), level(number), np.uint8)
    made[: height_px // 4, : width_px // 4] = (255, 0, 0)
    made[-(height_px // 4) :, -(width_px // 4) :] = (0, 0, 255)
    return made


def numbers(pictures: Sequence[Picture]) -> list[int]:
    """Return the frame numbers encoded in these pictures."""
    return [round((float(one[one.shape[0] // 2, one.shape[1] // 2].mean()) - 40) / 20) for one in pictures]


def write_film(
    path: Path,
    pictures: Sequence[Picture],
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rate_hz: int = RATE_HZ,
    pts: Sequence[int] | None = None,
    sound: str | None = None,
    beeps: Sequence[float] = (),
    sound_seconds: tuple[float, float] | None = None,
    layout: str = "mono",
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
    kind: str | None = None,
    setup: Callable[[Any], None] = lambda stream: None,
    prepare: Callable[[Any], Any] = lambda frame: frame,
) -> Path:
    """Write a video of `[H, W, 3]` uint8 RGB (or `[H, W, 4]` with alpha) pictures.

    pts: in frames of `rate_hz`. beeps: times at which the sound is loud for one frame; otherwise it is silent.
    sound_seconds: start and end of the sound; by default those of the pictures. kind: FFmpeg's name of the container.
    """
    height_px, width_px = pictures[0].shape[:2]
    with av.open(f"file:{path}", "w", format=kind, options=muxer or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate_hz)
        stream.width, stream.height, stream.pix_fmt, stream.options = width_px, height_px, pix_fmt, options or {}
        setup(stream)
        voice: Any = container.add_stream(sound, rate=SOUND_HZ) if sound else None
        if voice is not None:
            voice.layout = layout
        begin, end = sound_seconds or (0.0, len(pictures) / rate_hz)
        heard = begin
        for index, pixels in enumerate(pictures):
            frame: Any = av.VideoFrame.from_ndarray(pixels, "rgba" if pixels.shape[2] == 4 else "rgb24")
            frame = prepare(frame.reformat(format=pix_fmt))
            frame.pts, frame.time_base = index if pts is None else pts[index], Fraction(1, rate_hz)
            container.mux(stream.encode(frame))
            until = end if index == len(pictures) - 1 else min(end, (index + 1) / rate_hz)
            if voice is not None and until > heard:
                container.mux(voice.encode(_sound(heard, until, beeps, rate_hz, layout)))
                heard = until
        container.mux(stream.encode(None))
        if voice is not None:
            container.mux(voice.encode(None))
    return path


def joined(*parts: Path) -> Path:
    """Concatenate the files' bytes."""
    whole = parts[0].with_name(f"joined{parts[0].suffix}")
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    return whole


def size_changing(folder: Path) -> Path:
    """Write a video of three frames of 64x48 and then three of 32x32."""
    large, small = [picture(n) for n in range(3)], [picture(n, 32, 32) for n in range(3, 6)]
    return joined(*(write_film(folder / f"{n}.h264", p, kind="h264") for n, p in enumerate((large, small))))


def sound_unnamed(path: Path) -> Path:
    """Give the PCM sound of a QuickTime file an unknown codec name."""
    content = path.read_bytes()
    assert content.count(b"sowt") == 1
    path.write_bytes(content.replace(b"sowt", b"qZq1"))
    return path


def _sound(begin: float, end: float, beeps: Sequence[float], rate_hz: int, layout: str) -> Any:
    first, last = round(begin * SOUND_HZ), round(end * SOUND_HZ)
    at = np.arange(first, last) / SOUND_HZ
    loud = np.zeros(len(at), bool)
    for beep in beeps:
        loud |= (at >= beep - 1e-6) & (at < beep + 1 / rate_hz - 1e-6)
    wave = (np.sin(at * 2 * np.pi * 440) * 12_000 * loud).astype(np.int16)
    channels = av.AudioLayout(layout).nb_channels
    frame = av.AudioFrame.from_ndarray(np.repeat(wave, channels)[None], format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, first, Fraction(1, SOUND_HZ)
    return frame


def heard_beeps(path: Path) -> list[float]:
    """Return the times at which a file's sound becomes loud, in seconds."""
    begins, was_loud, last = [], False, -1.0
    with av.open(f"file:{path}") as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float64)
            samples = (
                samples.reshape(frame.layout.nb_channels, -1) if frame.format.is_planar else samples.reshape(1, -1)
            )
            scale = 1.0 if frame.format.name.startswith("flt") else 32768.0
            step = len(frame.layout.channels) if not frame.format.is_planar else 1
            loud = np.abs(samples[0][::step]) > 0.1 * scale
            for index in np.flatnonzero(loud).tolist():
                at = (frame.time or 0.0) + index / frame.sample_rate
                if not was_loud or at - last > 0.05:
                    begins.append(round(at, 3))
                was_loud, last = True, at
    return begins


def seen_flashes(path: Path) -> list[float]:
    """Return the times at which a file's frames become white, in seconds."""
    times, was_white = [], False
    with av.open(f"file:{path}") as container:
        for frame in container.decode(video=0):
            white = frame.to_ndarray(format="gray").mean() > 200
            if white and not was_white:
                times.append(round(frame.time or 0.0, 3))
            was_white = bool(white)
    return times
