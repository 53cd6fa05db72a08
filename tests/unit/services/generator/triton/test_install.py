"""Finding the parts of Triton, and naming what is missing."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import pytest

from services.generator.triton.install import TritonInstall, TritonMissing
from services.generator.triton.process import TritonServer

PIECES = (
    "bin/tritonserver",
    "backends/python/libtriton_python.so",
    "backends/python/triton_python_backend_utils.py",
    f"python_backend_stubs/{sys.version_info.major}.{sys.version_info.minor}/triton_python_backend_stub",
)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a complete fake wheel; the loader finds every library."""
    home = tmp_path / "pytriton" / "tritonserver"
    for piece in PIECES:
        (home / piece).parent.mkdir(parents=True, exist_ok=True)
        (home / piece).touch()
    spec = ModuleSpec("pytriton", None, origin=str(tmp_path / "pytriton" / "__init__.py"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec if name == "pytriton" else None)
    say_ldd(monkeypatch, "\tlibc.so.6 => /lib/libc.so.6 (0x0)\n")
    return home


def say_ldd(monkeypatch: pytest.MonkeyPatch, stdout: str, returncode: int = 0) -> None:
    """Make the dynamic loader print `stdout`."""
    answer = SimpleNamespace(returncode=returncode, stdout=stdout, stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)


def test_all_pieces_are_found(wheel: Path):
    """All four files of the wheel are found."""
    install = TritonInstall.find()
    found = (install.server, install.backend_library, install.backend_utilities, install.stub)
    assert found == tuple(wheel / piece for piece in PIECES)


async def test_without_the_wheel_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """`start` raises an error with the wheel and the command before it starts anything."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    server = TritonServer(tmp_path, tmp_path / "triton.log")
    with pytest.raises(TritonMissing, match="pip install nvidia-pytriton"):
        await server.start()
    assert not server.alive
    assert not (tmp_path / "triton.log").exists()


@pytest.mark.parametrize("piece", PIECES)
def test_a_missing_piece_is_named(wheel: Path, piece: str):
    """If the wheel lacks a file, such as this Python's stub, the error names it."""
    (wheel / piece).unlink()
    with pytest.raises(TritonMissing, match=f"has no {piece}"):
        TritonInstall.find()


def test_a_missing_libpython_is_named_with_its_package(wheel: Path, monkeypatch: pytest.MonkeyPatch):
    """The stub needs Python's shared library, which is a separate package on Debian."""
    say_ldd(monkeypatch, "\tlibpython3.11.so.1.0 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n")
    with pytest.raises(TritonMissing, match=r"libpython3\.11\.so\.1\.0: `apt-get install libpython3\.11`"):
        TritonInstall.find()


def test_another_processor_is_named(wheel: Path, monkeypatch: pytest.MonkeyPatch):
    """The error names a binary for another processor, which the loader rejects."""
    say_ldd(monkeypatch, "\tnot a dynamic executable\n", returncode=1)
    with pytest.raises(TritonMissing, match="cannot run here: not a dynamic executable"):
        TritonInstall.find()
