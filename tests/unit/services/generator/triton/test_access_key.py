"""The key for loading models, and who can read it."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from services.generator.triton.access_key import fenced, fresh_key, hide, key_header

WAITS = "import sys; print('started', flush=True); sys.stdin.readline()"


@pytest.fixture
def child() -> Iterator[tuple[psutil.Popen, str]]:
    """A process with the key among its arguments, and the key."""
    key = fresh_key()
    options = fenced(key)
    with psutil.Popen(
        [sys.executable, "-ISc", WAITS, options[1], "--last"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        # Until the kernel has replaced the program, the arguments in /proc are empty.
        assert process.stdout.readline() == "started\n"
        yield process, key
        if process.poll() is None:
            process.kill()


def test_each_key_is_different():
    """Keys have 64 digits, like those of the init container in deploy/."""
    keys = {fresh_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(len(key) == 64 and int(key, 16) >= 0 for key in keys)


def test_http_is_off_and_everything_but_inference_requires_the_key():
    """The options are those of deploy/35-triton.yaml, with this key."""
    options = ("--allow-http=false", "--grpc-restricted-protocol=model-repository,shared-memory,trace,logging:dance=ab")
    assert fenced("ab") == options
    assert key_header("ab") == {"triton-grpc-protocol-dance": "ab"}
    assert key_header("") is None


def test_the_key_is_overwritten_among_the_arguments(child: tuple[psutil.Popen, str]):
    """Other users see letters in place of the key, and the other arguments unchanged."""
    process, key = child
    before = process.cmdline()
    assert key in before[3]
    assert hide(process.pid, key)
    assert process.cmdline() == [word.replace(key, "x" * 64) for word in before]
    assert hide(process.pid, key)  # once more does no harm
    process.communicate("\n", timeout=60)
    assert process.returncode == 0


def test_a_key_that_cannot_be_hidden_is_logged(caplog: pytest.LogCaptureFixture):
    """A warning is logged if the process has ended, or a hardened system forbids writing to its memory."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    with caplog.at_level(logging.WARNING):
        assert not hide(gone.pid, "a" * 64)
    assert "every user of this machine can read it" in caplog.text
    assert "a" * 64 not in caplog.text
