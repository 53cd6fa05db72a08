"""The folder of plain paths for Triton."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from services.generator.triton.leftovers import is_plain
from services.generator.triton.plain_paths import Links
from serving.errors import BadSettings

ODD = ["mit leer zeichen", "Tänzer", "it's", 'a"b', "a$HOME", "a;b", "a&b", "a(b)", "two\nlines", "a:b", "l" * 220]


@pytest.mark.parametrize("name", ODD)
def test_every_folder_gets_a_plain_path(tmp_path: Path, name: str):
    """This includes spaces, umlauts and shell syntax; removing the links keeps the folder."""
    plain = tmp_path / "tmp"
    plain.mkdir()
    odd = tmp_path / name
    odd.mkdir()
    (odd / "file").write_text("here")
    links = Links([odd, plain])
    linked = links.to(odd, "actors")
    assert is_plain(linked)
    assert links.folder.parent == plain
    assert links.folder.stat().st_mode & 0o777 == 0o700
    said = subprocess.run(["bash", "-c", f"exec cat {linked}/file"], capture_output=True, text=True, check=True)
    assert said.stdout == "here"
    links.remove()
    assert list(plain.iterdir()) == []
    assert (odd / "file").exists()


def test_without_a_place_the_error_says_why(tmp_path: Path):
    """The error lists the places that were tried, why each is unsuitable, and the variable to set."""
    odd = tmp_path / "Tänzer"
    odd.mkdir()
    with pytest.raises(BadSettings, match=r"TMPDIR.*not plain.*No such file.*Set TMPDIR"):
        Links([odd, tmp_path / "missing"])


def test_its_python_starts_in_ascii_beside_an_odd_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """With the encoding of Triton's stub, it has this Python's import path, also with an umlaut in a folder's name."""
    odd = tmp_path / "Tänzer: und mehr"
    odd.mkdir()
    (odd / "found_there.py").write_text("")
    monkeypatch.syspath_prepend(str(odd))
    links = Links([tmp_path])
    try:
        python = links.python() / "python3"
        ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        words = "import found_there, numpy, sys; print(sys.getfilesystemencoding(), found_there.__file__)"
        said = subprocess.run([python, "-c", words], capture_output=True, text=True, env=ascii_only, check=True)
        encoding, where = said.stdout.split()
        assert encoding == "ascii"
        assert Path(where).is_relative_to(links.folder)
    finally:
        links.remove()
