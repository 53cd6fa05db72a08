"""The options with which files are signed."""

from __future__ import annotations

from pathlib import Path

import pytest

from client.command_line import run
from client.media.signing import Signing
from client.terminal.display import Display
from provenance.credentials.certificate import self_made_identity
from provenance.credentials.errors import CannotSign
from serving.errors import BadSettings


def test_a_certificate_is_made_once_and_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The note says where it is, and that nothing vouches for it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    first = Signing().credentials(Display())
    assert first is not None
    assert first.identity.is_self_made
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("made a certificate for Content Credentials, which nothing vouches for")
    second = Signing().credentials(Display())
    assert second is not None
    assert second.identity == first.identity
    assert capsys.readouterr().err == ""


def test_no_credentials_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing signs, and the log has it."""
    assert Signing(no_credentials=True).credentials(Display()) is None
    assert "files are written without Content Credentials (--no-credentials)" in capsys.readouterr().err


def test_a_users_certificate_signs(tmp_path: Path) -> None:
    """It is used as it is; only one of its two files is refused, and so is a folder that cannot be written."""
    made = self_made_identity(tmp_path, "the studio")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.chain_pem)
    key.write_bytes(made.key_pem)
    files = Signing(certificate=chain, certificate_key=key)
    found = files.credentials(Display())
    assert found is not None
    assert (found.identity.name, found.identity.is_self_made) == ("the studio", False)
    with pytest.raises(BadSettings, match="--certificate-key belong together: name both or neither"):
        Signing(certificate=chain).credentials(Display())


def test_a_folder_of_keys_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the folder and the way out."""
    taken = tmp_path / "taken"
    taken.write_text("a file")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(taken))
    with pytest.raises(BadSettings, match=r"taken/everybody-dance/signing cannot be written: .*name a certificate"):
        Signing().credentials(Display())


def test_bad_options_are_noticed_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make_video
) -> None:
    """A label that cannot be drawn, and a certificate that does not exist: exit code 2, one line."""
    clip = str(make_video(frames=2))
    for options, text in (
        (["--label", "ИИ"], "--label: expected 1 to 40 printable ASCII characters"),
        (["--label", ""], "--label: expected 1 to 40 printable ASCII characters"),
        (["--certificate", "missing.pem", "--certificate-key", "missing.key"], "missing.pem cannot be read"),
    ):
        assert run(["transfer", clip, "--actor", "anna", "-o", str(tmp_path / "o.mp4"), *options]) == 2
        said = capsys.readouterr().err
        assert text in " ".join(said.split())
        assert "Traceback" not in said


def test_a_sidecar_of_others_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str], make_video) -> None:
    """It may belong to another file of that name."""
    (tmp_path / "o.mkv.c2pa").write_text("of another file")
    arguments = ["transfer", str(make_video(frames=2)), "--actor", "anna", "-o", str(tmp_path / "o.mkv")]
    assert run(arguments) == 1
    assert "o.mkv.c2pa exists already; --force overwrites it" in " ".join(capsys.readouterr().err.split())


def test_a_certificate_that_c2pa_refuses_is_noticed_before_any_work(tmp_path: Path) -> None:
    """The error names the certificate."""
    from cryptography.hazmat.primitives.asymmetric import ec

    from tests.unit.provenance.credentials.test_certificate import files

    chain, key = files(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(CannotSign, match="somebody"):
        Signing(certificate=chain, certificate_key=key).credentials(Display())
