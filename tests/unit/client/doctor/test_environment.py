"""What `dance doctor` reports about proxies, folders and the user."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from pathlib import Path

import pytest

from client.connection.server_access import ServerAccess
from client.doctor.checks import Patient, examine
from client.doctor.environment import surroundings
from services.generator.triton import leftovers

HERE, FAR = "127.0.0.1:50050", "far.example:443"


def test_an_ordinary_machine_is_not_mentioned(tmp_path: Path):
    """An ordinary environment has no findings."""
    assert list(surroundings(HERE, {"HOME": str(tmp_path)})) == []
    assert list(surroundings(FAR, {})) == []


@pytest.mark.parametrize(
    ("address", "more", "words"),
    [
        (HERE, {}, "not used, since"),
        (FAR, {}, "through which far.example:443 is called"),
        (FAR, {"no_proxy": ".example"}, "no_proxy exempts far.example"),
    ],
)
def test_a_proxy_is_named(tmp_path: Path, address: str, more: dict[str, str], words: str):
    """The finding names the variable and the proxy, and whether this server is called through it."""
    environment = {"HOME": str(tmp_path), "https_proxy": "http://me:secret@proxy.example:3128", **more}
    (finding,) = surroundings(address, environment)
    assert finding.ok
    assert finding.text.startswith("https_proxy names proxy.example:3128")
    assert words in finding.text


@pytest.mark.parametrize(
    ("proxy", "called"),
    [
        ("http://proxy.example:3128", ("proxy.example", 3128)),
        ("http://proxy.example", ("proxy.example", 80)),
        ("http://me:secret@127.0.0.1:3128", ("127.0.0.1", 3128)),
        ("http://[::1]:3128", ("::1", 3128)),
    ],
)
async def test_a_proxy_that_does_not_answer_is_called_once(
    monkeypatch: pytest.MonkeyPatch, proxy: str, called: tuple[str, int]
):
    """The finding blames the proxy, with its variable, and not the server behind it."""
    calls = []

    async def refused(host: str, port: int) -> None:
        calls.append((host, port))
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    monkeypatch.setattr(asyncio, "open_connection", refused)
    monkeypatch.setattr(os, "environ", {"http_proxy": proxy})
    patient = Patient(server=ServerAccess(FAR, insecure=True))
    *_, last = [finding async for finding in examine(patient)]
    assert calls == [called]
    assert (last.check, last.ok) == ("proxy", False)
    assert "http_proxy names this proxy" in last.advice
    assert "secret" not in f"{last.text} {last.advice}"


def test_a_folder_that_triton_cannot_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The finding names the folder used instead, and is a failure if there is none."""
    odd = tmp_path / "mit leer"
    odd.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(odd))
    (finding,) = surroundings(HERE, {"HOME": str(tmp_path)})
    assert finding.ok
    assert str(odd) in finding.text
    monkeypatch.setattr(leftovers, "places", lambda: (odd,))
    (finding,) = surroundings(HERE, {"HOME": str(tmp_path)})
    assert not finding.ok
    assert "set TMPDIR" in finding.advice


def test_a_home_that_cannot_be_written_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An unwritable home is a finding, and so is a uid without an entry."""
    monkeypatch.setattr(os, "getuid", lambda: 12345678)
    told = list(surroundings(HERE, {"HOME": str(tmp_path / "missing")}))
    assert [(finding.check, finding.ok) for finding in told] == [("user", True), ("user", False)]
    assert "set HOME" in told[1].advice
