"""`dance transfer` and `dance fit` with unusual files."""

from __future__ import annotations

import json

import pytest

from client.__main__ import run
from tests.unit.video.films import picture, size_changing, sound_unnamed, write_film
from video.reader import VideoReader


def transfer(source, out, address, *more):
    return run(["transfer", str(source), "--actor", "juggler", "-o", str(out), "--server", address, *more])


def count_of(path):
    with VideoReader(str(path)) as reader:
        return len(list(reader.frames()))


@pytest.mark.parametrize("compare", [(), ("--compare",)])
def test_frames_that_change_their_size_are_danced_to_the_end(serve, tmp_path, capsys, compare):
    """All frames are sent in the size of the first; the note appears once although the file is read twice."""
    fake = serve()
    assert transfer(size_changing(tmp_path), tmp_path / "out.mp4", fake.address, *compare) == 0
    assert set(fake.behaviour.seen_sizes) == {(64, 48)}
    assert count_of(tmp_path / "out.mp4") == 6
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("its size changes from 64x48 to 32x32: all frames are fitted into 64x48") == 1


def test_a_sound_track_of_an_unknown_kind_is_no_obstacle(serve, tmp_path, capsys):
    """The output has no sound, and a note says so."""
    source = write_film(tmp_path / "a.mov", [picture(n) for n in range(6)], sound="pcm_s16le")
    assert transfer(sound_unnamed(source), tmp_path / "out.mp4", serve().address) == 0
    assert count_of(tmp_path / "out.mp4") == 6
    said = " ".join(capsys.readouterr().err.split())
    assert said.count("its sound is ignored, because FFmpeg does not support the codec") == 1


def test_names_with_colons_are_files(serve, tmp_path, monkeypatch):
    """Works for source and output in the current folder."""
    write_film(tmp_path / "a:b.mp4", [picture(n) for n in range(6)])
    monkeypatch.chdir(tmp_path)
    assert transfer("a:b.mp4", "c:d.mp4", serve().address) == 0
    assert count_of(tmp_path / "c:d.mp4") == 6


def test_fit_says_what_was_decided_too(serve, tmp_path, capsys):
    """Notes go to standard error, so that the output stays JSON."""
    assert run(["fit", str(size_changing(tmp_path)), "--server", serve().address]) == 0
    said = capsys.readouterr()
    assert " ".join(said.err.split()).count("its size changes from 64x48 to 32x32") == 1
    assert json.loads(said.out)
