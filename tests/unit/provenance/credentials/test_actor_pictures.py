"""Pictures of an actor that no server sends."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from provenance.credentials.actor_pictures import ActorPictures
from provenance.credentials.reading import State, read_credentials
from provenance.watermark.finding import find_watermark
from serving.actors.preview import has_preview
from tests.signed_files import scene, signer


def test_a_picture_is_signed_and_stays_what_it_was(tmp_path: Path) -> None:
    """Its pixels are exact, which measurements need; its credentials name the actor and the consent."""
    path = tmp_path / "sheet.png"
    ActorPictures(signer(tmp_path), "anna", consent_sha256="cd" * 32).write(path, scene())
    np.testing.assert_array_equal(cv2.imread(str(path))[..., ::-1], scene())
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.says_synthetic, found.stated["consent_sha256"]) == (State.VALID, True, "cd" * 32)


def test_a_moving_preview_is_signed_and_carries_a_watermark(tmp_path: Path) -> None:
    """Servers send it to pages, which lose the credentials; it is still a preview for them."""
    path = tmp_path / "preview.webp"
    pictures = [scene(index, side_px=512) for index in range(12)]
    ActorPictures(signer(tmp_path), "anna", actor_version=2).write_preview(path, pictures, 12)
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.stated["actor_version"]) == (State.VALID, 2)
    assert has_preview(tmp_path)
    _, moving = cv2.imreadanimation(str(path))
    assert find_watermark(np.ascontiguousarray(frame[..., 2::-1]) for frame in moving.frames) is not None


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    """Neither a file nor a hidden part of one."""
    pictures = ActorPictures(signer(tmp_path), "anna")
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match="taken"):
        pictures.write(tmp_path / "taken" / "sheet.png", scene())
    with pytest.raises(ValueError, match="at least two pictures"):
        pictures.write_preview(tmp_path / "preview.webp", [scene()], 12)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["identity", "taken"]
