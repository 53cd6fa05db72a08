"""The heap keeps what a frame has freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PAGES_LEFT_BEHIND = """
import sys
from pathlib import Path
from serving.heap import keep_freed_memory

def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

if sys.argv[1] == "keep":
    assert keep_freed_memory()
before = resident_pages()
pictures = [bytes([1]) * (1 << 20) for _ in range(16)]
del pictures
print(resident_pages() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_freed_pages_are_kept() -> None:
    """The pages of 16 MiB of freed pictures stay with the process; without the setting nearly all are given back."""

    def pages(how: str) -> int:
        command = [sys.executable, "-c", _PAGES_LEFT_BEHIND, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert pages("leave") < 2000
    assert pages("keep") > 3500


_PAGES_BETWEEN_LIVE_BLOCKS = """
from pathlib import Path
from serving.heap import give_freed_back

def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

blocks = [bytes([1]) * (64 << 10) for _ in range(512)]
alive = blocks[::16]
del blocks
before = resident_pages()
give_freed_back()
print(before - resident_pages())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="malloc_trim is glibc's")
def test_free_blocks_between_live_ones_are_given_back() -> None:
    """Of 32 MiB, a sixteenth of which is still in use in between, most goes back when it is asked for."""
    command = [sys.executable, "-c", _PAGES_BETWEEN_LIVE_BLOCKS]
    assert int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) > 5000
