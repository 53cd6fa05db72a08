"""Clips of the sample dancer with sound, and what is in a video."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np

from motion.frame import Picture
from tests.browser.cameras import FRAMES_PER_SECOND, sample_frames

_SAMPLES_PER_SECOND: Final = 48_000
_TONE_HZ: Final = 440.0


@dataclass(frozen=True, slots=True)
class Video:
    """times_s: of the frames. sound: mono samples, float in [-1, 1]; empty without sound."""

    frames: list[Picture]
    times_s: list[float]
    sound: np.ndarray


def write_clip(path: Path, frames: int) -> Path:
    """Write the first `frames` frames of the sample clip as an MP4, with a tone of 440 Hz."""
    pictures = sample_frames(0, frames)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_SECOND)
        video.width, video.height, video.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        audio = container.add_stream("aac", rate=_SAMPLES_PER_SECOND, layout="mono")
        for picture in pictures:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        count = _SAMPLES_PER_SECOND * frames // FRAMES_PER_SECOND
        tone = 0.3 * np.sin(2 * np.pi * _TONE_HZ * np.arange(count) / _SAMPLES_PER_SECOND)
        for first in range(0, count, 1024):
            part = tone[None, first : first + 1024].astype(np.float32)
            sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = _SAMPLES_PER_SECOND, first, Fraction(1, _SAMPLES_PER_SECOND)
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))
    return path


def read_video(path: Path) -> Video:
    """Read a whole video."""
    frames, times_s, sound = [], [], [np.zeros(0)]
    with av.open(str(path)) as container:
        for frame in container.decode(*container.streams.video, *container.streams.audio):
            if isinstance(frame, av.VideoFrame):
                frames.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                times_s.append(float(frame.time))
            elif isinstance(frame, av.AudioFrame):
                sound.append(frame.to_ndarray().mean(axis=0))
    return Video(frames, times_s, np.concatenate(sound))


def loudest_hz(video: Video) -> float:
    """The frequency that is the loudest in a video's sound at 48 kHz."""
    spectrum = np.abs(np.fft.rfft(video.sound))
    return float(np.fft.rfftfreq(len(video.sound), 1 / _SAMPLES_PER_SECOND)[int(spectrum.argmax())])
