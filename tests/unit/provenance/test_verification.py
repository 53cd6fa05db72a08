"""Looking for everything in a file that says it is synthetic."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import cv2
import pytest

from provenance.verification import Mark, verify
from provenance.watermark.code import Payload
from provenance.watermark.marking import Watermark
from serving.errors import UnreadableVideo
from tests.signed_files import FACTS, changed, scene, signer, write_video

PAYLOAD = Payload(0x5A3C, 9)
MARKED = [Watermark(PAYLOAD).marked(scene(index)) for index in range(8)]
PLAIN = [scene(index) for index in range(8)]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with a watermark and credentials."""
    folder = tmp_path_factory.mktemp("both")
    path = write_video(folder / "o.mp4", MARKED)
    signer(folder).sign(path, path, FACTS)
    return path


def test_both_layers_are_found(both: Path) -> None:
    """The verdict, what the credentials state, and what the watermark carries; JSON has the same."""
    found = verify(both)
    assert found.mark is Mark.MARKED
    assert found.stated["actor"] == "anna"
    assert found.watermark is not None
    assert found.watermark.payload == PAYLOAD
    said = found.to_json()
    assert (said["mark"], said["credentials"]["state"], said["watermark"]["server_key"]) == ("marked", "valid", "5a3c")
    assert said["credentials"]["ingredients"] == []


def test_the_watermark_outlives_the_credentials(both: Path, tmp_path: Path) -> None:
    """A file that was encoded again has lost its credentials, and is still marked."""
    found = verify(write_video(tmp_path / "again.mp4", MARKED, crf=23))
    assert (found.mark, found.credentials) == (Mark.MARKED, None)
    assert found.stated == {}


def test_a_changed_file_is_called_changed_though_its_watermark_is_there(both: Path, tmp_path: Path) -> None:
    """Somebody did something to it: what its credentials state is not believed any more."""
    path = tmp_path / "o.mp4"
    path.write_bytes(both.read_bytes())
    found = verify(changed(path, 0.9))
    assert found.mark is Mark.CHANGED
    assert found.stated == {}


def test_a_file_without_any_mark_is_called_that(tmp_path: Path) -> None:
    """It may be real or made by others."""
    found = verify(write_video(tmp_path / "plain.mp4", PLAIN))
    assert (found.mark, found.credentials, found.watermark, found.searched_pictures) == (Mark.UNMARKED, None, None, 8)


@pytest.mark.parametrize("name", ["o.png", "o.jpg", "o.webp"])
def test_single_pictures_are_searched_too(tmp_path: Path, name: str) -> None:
    """One picture is enough if it was hardly compressed."""
    path = tmp_path / name
    cv2.imwrite(str(path), MARKED[0][..., ::-1])
    found = verify(path)
    assert found.watermark is not None
    assert found.watermark.payload == PAYLOAD


@pytest.mark.parametrize("name", ["o.mp4", "o.png", "missing.mp4", "missing.jpg"])
def test_what_is_no_picture_is_an_error(tmp_path: Path, name: str) -> None:
    """The error names the file."""
    if name.startswith("o"):
        (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(UnreadableVideo, match=name):
        verify(tmp_path / name)


def test_a_search_can_be_stopped(both: Path) -> None:
    """Ctrl-C is noticed at the next picture."""
    with pytest.raises(KeyboardInterrupt):
        verify(both, should_stop=lambda: True)


def test_the_sample_actors_preview_is_marked(root: Path) -> None:
    """Every page shows it: it carries both layers, and names the sample's consent."""
    found = verify(root / "samples/actors/sample/1/preview.webp")
    assert found.mark is Mark.MARKED
    assert found.watermark is not None
    stored = json.loads((root / "samples/actors/sample/1/actor.json").read_text())["consent_record"]
    consent = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert found.stated["consent_sha256"] == hashlib.sha256(consent.encode()).hexdigest()
