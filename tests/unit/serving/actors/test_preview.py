"""The moving preview of a version."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from motion.frame import Picture
from serving.actors import preview
from serving.actors.preview import (
    MOST_PREVIEW_BYTES,
    PREVIEW_FILE,
    has_preview,
    read_preview,
    shown_every,
    write_preview,
)
from serving.actors.store import ActorStore
from serving.errors import ActorUnusable
from tests.tiny_actors import publish_tiny


def bars(count: int = 6, width_px: int = 640, height_px: int = 320) -> list[Picture]:
    """Pictures of a white bar that moves to the right."""
    pictures = [np.zeros((height_px, width_px, 3), np.uint8) for _ in range(count)]
    for number, picture in enumerate(pictures):
        picture[:, number * width_px // count : (number + 1) * width_px // count] = 255
    return pictures


def test_a_preview_repeats_its_pictures_at_their_rate(tmp_path: Path):
    """It is an animated WebP, with a longer side of 256 pixels, whose frames follow each other."""
    write_preview(tmp_path / PREVIEW_FILE, bars(6), 12.5)
    read, moving = cv2.imreadanimation(str(tmp_path / PREVIEW_FILE))
    assert read
    assert moving.loop_count == 0, "it repeats forever"
    assert list(moving.durations) == [80] * 6
    assert {frame.shape[:2] for frame in moving.frames} == {(128, 256)}
    assert [int(frame[..., 0].mean(axis=0).argmax()) * 6 // 256 for frame in moving.frames] == list(range(6))
    assert has_preview(tmp_path)
    assert read_preview(tmp_path) == (tmp_path / PREVIEW_FILE).read_bytes()


def test_a_preview_that_would_be_large_is_written_with_less_quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Noise is the worst case for a picture's size; even then the preview can be listed."""
    random = np.random.default_rng(3)
    noise = [random.integers(0, 256, (160, 160, 3), np.uint8) for _ in range(2)]
    write_preview(tmp_path / PREVIEW_FILE, noise, 12)
    large_bytes = (tmp_path / PREVIEW_FILE).stat().st_size
    monkeypatch.setattr(preview, "_WANTED_BYTES", large_bytes // 2)
    write_preview(tmp_path / PREVIEW_FILE, noise, 12)
    assert (tmp_path / PREVIEW_FILE).stat().st_size <= large_bytes // 2
    assert has_preview(tmp_path)


def test_one_picture_does_not_move(tmp_path: Path):
    """A preview has at least two pictures."""
    with pytest.raises(ValueError, match="at least two pictures, got 1"):
        write_preview(tmp_path / PREVIEW_FILE, bars(1), 12)
    assert not (tmp_path / PREVIEW_FILE).exists()


@pytest.mark.parametrize(("rate_hz", "every"), [(5, 1), (12, 1), (15, 1), (24, 2), (25, 2), (30, 2), (60, 5)])
def test_about_twelve_frames_a_second_are_shown(rate_hz: float, every: int):
    """Of faster sources every n-th frame is shown, of slower ones every frame."""
    assert shown_every(rate_hz) == every


def still(path: Path) -> None:
    """Write a WebP that is not animated."""
    path.with_suffix(".webp").write_bytes(cv2.imencode(".webp", bars(1)[0])[1].tobytes())


def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Put something else in the file's place."""

    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        Path.unlink,
        still,
        lambda path: os.truncate(path, path.stat().st_size - 1),
        lambda path: os.truncate(path, 20),
        lambda path: os.truncate(path, 0),
        lambda path: os.truncate(path, MOST_PREVIEW_BYTES + 1),
        lambda path: path.write_bytes(b"<script>" + path.read_bytes()[8:]),
        replaced_by(os.mkfifo),
        replaced_by(Path.mkdir),
    ],
)
def test_a_damaged_preview_counts_as_missing(tmp_path: Path, damage: Callable[[Path], object]):
    """The version is listed and served as one that never had a preview."""
    store = ActorStore(tmp_path / "actors")
    folder = publish_tiny(store, tmp_path, "kind").folder
    write_preview(folder / PREVIEW_FILE, bars(2), 12)
    damage(folder / PREVIEW_FILE)
    assert not has_preview(folder)
    assert read_preview(folder) is None
    assert [listed.unavailable for listed in store.listed()] == [""]


def test_a_preview_is_published_with_its_version_or_added_later(tmp_path: Path):
    """Its bytes count for the version's size. A file of another kind is not published."""
    store = ActorStore(tmp_path / "actors")
    without = publish_tiny(store, tmp_path, "kind")
    write_preview(tmp_path / "moving.webp", bars(2), 12)
    files = {path.name: path for path in without.folder.iterdir() if path.name != "actor.json"}
    published = store.publish(without, files | {PREVIEW_FILE: tmp_path / "moving.webp"})
    assert has_preview(published.folder)
    before_bytes = without.size_bytes
    write_preview(without.preview_path, bars(2), 12)
    assert without.size_bytes == before_bytes + without.preview_path.stat().st_size
    still(tmp_path / "still")
    with pytest.raises(ActorUnusable, match=r"preview.webp: expected an animated WebP of at most 524288 bytes"):
        store.publish(without, files | {PREVIEW_FILE: tmp_path / "still.webp"})
    assert store.versions("kind") == [1, 2]
