"""Fixtures for all tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provenance.user_folder import own_identity

ROOT = Path(__file__).resolve().parent.parent

# Set before torch is imported: spinning OpenMP threads would slow down a test's other processes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Tests call local servers directly. Tests of proxies set these variables themselves.
for _name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[_name]


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session", autouse=True)
def dances_of_tests(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the clips and recordings of gateways that tests start away from the user's own."""
    os.environ["WEB_DATA_FOLDER"] = str(tmp_path_factory.mktemp("web"))


@pytest.fixture(scope="session", autouse=True)
def keys_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the certificates and keys that commands make on first use away from the user's own.

    The certificate is made here, so that no command is the first one that tells of it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        own_identity(None, None)
        yield


@pytest.fixture(scope="session")
def clips() -> Path:
    """The folder of real clips in DANCE_TEST_DATA; skips the test if it does not exist."""
    data = Path(os.environ.get("DANCE_TEST_DATA", ROOT.parent / "shared"))
    folder = data / "clips"
    if not folder.is_dir():
        pytest.skip(f"no real clips: {folder} does not exist (set DANCE_TEST_DATA to its parent folder)")
    return folder


def pytest_collection_finish() -> None:
    """Take what collection left out of the garbage collector's work: it has hundreds of thousands of objects.

    Services do the same after their warm-up. Without it every sweep after a call takes a third of a second.
    """
    gc.collect()
    gc.freeze()
