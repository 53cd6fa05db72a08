"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Before anything imports torch: spinning OpenMP threads would slow the other processes of a test.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tests fetch pages from servers of their own. What a proxy does to the product, tests of it say by setting these.
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips, below DANCE_TEST_DATA; skips where there is none."""
    data = Path(os.environ.get("DANCE_TEST_DATA", ROOT.parent / "shared"))
    folder = data / "clips"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} does not exist (DANCE_TEST_DATA names the folder above it)")
    return folder
