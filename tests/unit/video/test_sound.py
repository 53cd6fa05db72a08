"""The sound of unusual files stays in sync with the pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from client.media.video_writer import Recording
from tests.unit.video.films import (
    HEIGHT_PX,
    RATE_HZ,
    WIDTH_PX,
    heard_beeps,
    joined,
    seen_flashes,
    sound_unnamed,
    write_film,
)
from video.reader import VideoReader
from video.sound import SoundTrack

FRAMES = 15


def flashing(path: Path, at: int, *, frames: int = FRAMES, **options: Any) -> Path:
    """Write a black video that is white in frame `at`, with a beep at the same time."""
    pictures = [np.full((HEIGHT_PX, WIDTH_PX, 3), 255 if n == at else 0, np.uint8) for n in range(frames)]
    return write_film(path, pictures, **{"sound": "aac", "beeps": [at / RATE_HZ]} | options)


def recordings(folder: Path, *, muxer: tuple[dict[str, str], ...] = ({}, {}), **options: Any) -> Path:
    return joined(*(flashing(folder / f"{n}.ts", at, muxer=muxer[n], **options) for n, at in enumerate((5, 8))))


def copied(source: Path, out: Path) -> tuple[str, ...]:
    """Copy pictures and sound as `dance transfer` does, and return the notes about the sound."""
    with VideoReader(str(source)) as reader:
        sound = SoundTrack(str(source), reader.start_seconds, reader.frame_rate)
        with Recording(
            out, time_base=reader.time_base, frame_rate=reader.frame_rate, marks=None, sound=sound
        ) as recording:
            for frame in reader.frames():
                recording.write(frame.pixels, frame.pts)
            recording.keep()
    return tuple(sound.notes)


@dataclass(frozen=True)
class Heard:
    """A file with sound. make: writes it. at: times of flash and beep. out: name of the copy."""

    make: Callable[[Path], Path]
    at: tuple[float, ...]
    out: str = "out.mp4"


def film(name: str, **options: Any) -> Callable[[Path], Path]:
    return lambda folder: flashing(folder / name, 7, **options)


SOUNDS = {
    "copied": Heard(film("a.mp4"), (0.7,)),
    "re-encoded": Heard(film("a.mkv", sound="pcm_s16le"), (0.7,)),
    "surround": Heard(film("a.mkv", sound="ac3", layout="5.1"), (0.7,)),
    "surround that is re-encoded": Heard(film("a.mkv", sound="flac", layout="5.1"), (0.7,), "out.mov"),
    "longer than the pictures": Heard(film("a.mkv", sound_seconds=(0.0, 3.0)), (0.7,)),
    "shorter than the pictures": Heard(film("a.mkv", sound_seconds=(0.0, 1.0)), (0.7,)),
    "starting late": Heard(film("a.mkv", sound_seconds=(0.5, 1.5)), (0.7,)),
    "starting late, re-encoded": Heard(film("a.mkv", sound="pcm_s16le", sound_seconds=(0.5, 1.5)), (0.7,)),
    "in a transport stream that starts anywhere": Heard(film("a.ts", muxer={"output_ts_offset": "5000"}), (0.7,)),
    "two recordings": Heard(recordings, (0.5, 2.3)),
    "two recordings whose sound is re-encoded": Heard(lambda folder: recordings(folder, sound="mp2"), (0.5, 2.3)),
    "a recording of an earlier hour after the first": Heard(
        lambda folder: recordings(folder, muxer=({"output_ts_offset": "100"}, {})), (0.5, 2.3)
    ),
    "a recording of a later hour after the first": Heard(
        lambda folder: recordings(folder, muxer=({}, {"output_ts_offset": "7000"})), (0.5, 2.3)
    ),
}


@pytest.mark.parametrize("what", SOUNDS)
def test_sound_stays_in_step(tmp_path, what):
    """A beep and a flash at the same time stay at the same time."""
    case = SOUNDS[what]
    out = tmp_path / case.out
    copied(case.make(tmp_path), out)
    assert seen_flashes(out) == pytest.approx(case.at, abs=0.025)
    assert heard_beeps(out) == pytest.approx(case.at, abs=0.045)


@pytest.mark.parametrize(("sound", "name"), [("aac", "out.mp4"), ("pcm_s16le", "out.mp4"), ("pcm_s16le", "out.mkv")])
def test_a_live_recording_is_of_what_was_shown(tmp_path, sound, name):
    """It begins at its first picture and ends with its last one, the sound too; both stay in step."""
    source, out = flashing(tmp_path / "a.mkv", 7, sound=sound), tmp_path / name
    with VideoReader(str(source)) as reader:
        track = SoundTrack(str(source), reader.start_seconds, reader.frame_rate)
        with Recording(
            out,
            time_base=reader.time_base,
            frame_rate=reader.frame_rate,
            marks=None,
            sound=track,
            from_first_picture=True,
        ) as recording:
            for frame in list(reader.frames())[4:11]:
                recording.write(frame.pixels, frame.pts)
            recording.keep()
    assert seen_flashes(out) == pytest.approx([0.3], abs=0.025)
    assert heard_beeps(out) == pytest.approx([0.3], abs=0.045)
    with av.open(str(out)) as container:
        assert next(container.decode(video=0)).time == pytest.approx(0, abs=0.025)
    with av.open(str(out)) as container:
        heard = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    assert heard == pytest.approx(0.65, abs=0.1)  # whole packets


def test_sound_of_an_unknown_codec_is_ignored(tmp_path):
    """The pictures are copied without sound, and there is a note."""
    notes = copied(sound_unnamed(flashing(tmp_path / "a.mov", 7, sound="pcm_s16le")), tmp_path / "out.mp4")
    assert notes == ("its sound is ignored, because FFmpeg does not support the codec",)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio
        assert len(list(container.decode(video=0))) == FRAMES


def test_the_default_sound_track_is_used(tmp_path):
    """Among several sound tracks, the default is used, with a note."""
    path, one = tmp_path / "a.mkv", flashing(tmp_path / "one.mp4", 7)
    with av.open(str(one)) as source, av.open(str(path), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0])
        tracks = [container.add_stream_from_template(source.streams.audio[0]) for _ in range(2)]
        tracks[0].disposition = av.stream.Disposition(0)
        tracks[1].disposition = av.stream.Disposition.default
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = video if packet.stream.type == "video" else tracks[1]
                container.mux(packet)
    assert copied(path, tmp_path / "out.mp4") == ("it has 2 sound tracks: number 2 is used",)
    assert heard_beeps(tmp_path / "out.mp4") == pytest.approx([0.7], abs=0.045)


@pytest.mark.parametrize("name", ["a:b.mp4", "-i.mkv", "file:a.mov", "%03d.mp4"])
def test_outputs_may_have_any_name(tmp_path, monkeypatch, name):
    """Relative file names with colons, dashes or percent signs are written correctly."""
    monkeypatch.chdir(tmp_path)
    source = flashing(tmp_path / "x:y.mp4", 7)
    copied(Path(source.name), Path(name))
    assert seen_flashes(tmp_path / name) == pytest.approx([0.7], abs=0.025)  # Matroska begins with the AAC's priming
