"""Signing files, and reading what was signed."""

from __future__ import annotations

import json
from pathlib import Path

import c2pa
import cv2
import pytest

from provenance.credentials.errors import CannotSign, UnreadableCredentials
from provenance.credentials.file_marks import FileMarks
from provenance.credentials.manifest import SYNTHETIC, DrawnOver, SyntheticMedia
from provenance.credentials.media_types import sidecar_of
from provenance.credentials.reading import State, read_credentials
from provenance.credentials.signing import ContentCredentials
from tests.signed_files import FACTS, changed, scene, signer, write_video

VIDEO = [scene(index, side_px=128) for index in range(6)]


def written(path: Path) -> Path:
    """A file of the kind that its name says."""
    if path.suffix in (".png", ".jpg", ".webp"):
        cv2.imwrite(str(path), VIDEO[0][..., ::-1])
        return path
    return write_video(path, VIDEO)


@pytest.mark.parametrize("name", ["o.mp4", "o.mov", "o.png", "o.jpg", "o.webp", "o.mkv", "o.webm"])
def test_a_signed_file_says_what_it_is_until_a_byte_changes(tmp_path: Path, name: str) -> None:
    """Containers that hold credentials have them, others a sidecar; either way, a changed picture is noticed."""
    path = written(tmp_path / name)
    marks = FileMarks(signer(tmp_path), FACTS)
    marks.sign(path, path)
    marks.name(path, path)
    sidecar = marks.sidecar
    assert sidecar == (tmp_path / f"{name}.c2pa" if name in ("o.mkv", "o.webm") else None)
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.in_sidecar) == (State.VALID, sidecar is not None)
    assert found.is_self_made
    assert found.says_synthetic
    assert found.software.startswith("Everybody Dance ")
    assert (found.stated["actor"], found.stated["actor_version"]) == ("anna", 3)
    assert found.stated["consent_sha256"] == FACTS.consent_sha256
    again = read_credentials(changed(path))
    assert again is not None
    assert again.state in (State.CHANGED, State.INVALID)  # in small files, the byte may be one of the credentials
    assert again.faults


def test_readers_of_others_accept_the_file(tmp_path: Path) -> None:
    """c2pa-python's own reader finds nothing wrong but that it does not know who signed."""
    path = written(tmp_path / "o.mp4")
    signer(tmp_path).sign(path, path, FACTS)
    with c2pa.Reader(str(path)) as reader:
        found = json.loads(reader.json())
    assert [status["code"] for status in found["validation_status"]] == ["signingCredential.untrusted"]
    manifest = found["manifests"][found["active_manifest"]]
    (actions,) = [one["data"]["actions"] for one in manifest["assertions"] if one["label"].startswith("c2pa.actions")]
    assert (actions[0]["action"], actions[0]["digitalSourceType"]) == ("c2pa.created", SYNTHETIC)


def test_a_source_is_an_ingredient_and_keeps_its_own_credentials(tmp_path: Path) -> None:
    """Also without a suffix, as uploads are kept; a source that C2PA cannot read is named by its content."""
    signed_source, plain, foreign = (written(tmp_path / name) for name in ("a.mp4", "b.mp4", "c.mkv"))
    signer(tmp_path).sign(signed_source, signed_source, FACTS)
    upload = signed_source.rename(tmp_path / "source")
    facts = SyntheticMedia(actor="anna", actor_version=1, sources=(upload, plain, foreign))
    path = written(tmp_path / "o.mp4")
    signer(tmp_path).sign(path, path, facts)
    found = read_credentials(path)
    assert found is not None
    assert found.state is State.VALID
    assert sorted(found.ingredients) == [("b.mp4", False), ("c.mkv", False), ("source", True)]


def test_a_trusted_authority_vouches_for_the_signer(tmp_path: Path) -> None:
    """With the root of the certificate among the trust anchors, the name counts."""
    credentials = signer(tmp_path)
    path = written(tmp_path / "o.mp4")
    credentials.sign(path, path, FACTS)
    root = credentials.identity.chain_pem.decode().split("-----BEGIN")[2]
    found = read_credentials(path, trust_anchors_pem=f"-----BEGIN{root}")
    assert found is not None
    assert found.state is State.TRUSTED


def test_a_file_without_credentials_has_none(tmp_path: Path) -> None:
    """Nothing is found, and nothing is invented; a missing file is an error."""
    assert read_credentials(written(tmp_path / "o.mp4")) is None
    assert read_credentials(written(tmp_path / "o.mkv")) is None
    with pytest.raises(UnreadableCredentials, match="No such file"):
        read_credentials(tmp_path / "missing.mp4")


def test_a_damaged_file_that_nobody_signed_has_no_credentials(tmp_path: Path) -> None:
    """A container that C2PA cannot parse is no sign of a forgery; one with traces of credentials is an error."""
    path = tmp_path / "o.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + b"no boxes" * 5)
    assert read_credentials(path) is None
    path.write_bytes(path.read_bytes() + b"jumbc2pa\0\x11\0\x10\x80\0\0\xaa\0\x38\x9b\x71")
    with pytest.raises(UnreadableCredentials, match="its Content Credentials cannot be read"):
        read_credentials(path)


def test_footage_with_something_drawn_over_it_is_not_called_synthetic(tmp_path: Path) -> None:
    """It was edited by this software, and says what was done."""
    source, path = written(tmp_path / "a.mp4"), written(tmp_path / "o.mp4")
    signer(tmp_path).sign(path, path, DrawnOver(what="Joints are drawn over footage", sources=(source,)))
    found = read_credentials(path)
    assert found is not None
    assert (found.state, found.says_synthetic) == (State.VALID, False)


def test_a_file_that_cannot_be_signed_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    """The error names the file; no half-signed file stays."""
    path = tmp_path / "o.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(CannotSign, match=r"o\.mp4 cannot be signed"):
        signer(tmp_path).sign(path, path, FACTS)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["identity", "o.mp4"]


def test_a_certificate_that_may_not_sign_is_refused(tmp_path: Path) -> None:
    """C2PA needs a chain and a purpose, which a bare certificate lacks: it is noticed before hours of work."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from provenance.credentials.certificate import read_identity
    from tests.unit.provenance.credentials.test_certificate import files

    identity = read_identity(*files(tmp_path, ec.generate_private_key(ec.SECP256R1())), setting="KEY")
    with pytest.raises(CannotSign, match="the certificate of 'somebody' cannot sign"):
        ContentCredentials(identity)


def test_a_comment_says_it_for_players_that_know_no_credentials(tmp_path: Path) -> None:
    """Also that the user wanted none."""
    assert FileMarks(signer(tmp_path), FACTS).comment == "AI-generated; Everybody Dance"
    assert (
        FileMarks(None, FACTS).comment
        == "AI-generated; Everybody Dance, without Content Credentials (--no-credentials)"
    )


def test_facts_that_were_never_set_are_noticed(tmp_path: Path) -> None:
    """A file must not get credentials that say nothing."""
    with pytest.raises(ValueError, match="was never set"):
        FileMarks(signer(tmp_path)).sign(tmp_path / "o.mp4", tmp_path / "o.mp4")


def test_a_sidecar_lies_beside_its_file() -> None:
    """It has the file's whole name: clip.mkv and clip.webm do not share one."""
    assert sidecar_of(Path("out/clip.mkv")) == Path("out/clip.mkv.c2pa")
