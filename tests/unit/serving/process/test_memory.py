"""The heap keeps the memory that a frame freed, or returns it to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_PAGES_LEFT_BEHIND = """
import sys
from pathlib import Path
from serving.process.memory import keep_freed_memory

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
    """The pages of 16 MiB of freed pictures stay with the process; without the setting nearly all are returned."""

    def pages(how: str) -> int:
        command = [sys.executable, "-c", _PAGES_LEFT_BEHIND, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert pages("leave") < 2000
    assert pages("keep") > 3500


_PAGES_BETWEEN_LIVE_BLOCKS = """
from pathlib import Path
from serving.process.memory import give_freed_back

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
    """Most of 32 MiB, with one sixteenth still in use in between, is returned on request."""
    command = [sys.executable, "-c", _PAGES_BETWEEN_LIVE_BLOCKS]
    assert int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) > 5000


_LEFT_BEHIND_BY_THREADS = """
import sys, threading
from pathlib import Path
from serving.process.memory import give_freed_back, keep_large_blocks_apart

def resident_pages():
    return int(Path("/proc/self/statm").read_text().split()[1])

def work():
    pictures = [bytes([1]) * (1 << 20) for _ in range(8)]
    small = [bytes([1]) * 4000 for _ in range(4000)]
    mark = bytes([1]) * 4000  # keeps the end of the heap in use, and all that is below it with the process
    del pictures, small
    marks.append(mark)

marks = []
if sys.argv[1] == "apart":
    assert keep_large_blocks_apart()
before = resident_pages()
for _ in range(4):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
left = resident_pages() - before
if sys.argv[1] == "apart":
    assert give_freed_back()
print(left, resident_pages() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")
def test_what_threads_have_freed_is_given_back() -> None:
    """16 MB of small blocks below one that is in use stay with the process until their return is requested."""

    def pages(how: str) -> list[int]:
        command = [sys.executable, "-c", _LEFT_BEHIND_BY_THREADS, how]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return [int(word) for word in out.split()]

    assert pages("leave")[1] > 3500
    assert pages("apart")[1] < 1000


_GARBAGE_OF_CALLS = """
import gc, sys
from collections import deque
from serving.process.memory import freeze_existing_objects

gc.set_threshold(100)  # a seventh of Python's own, so that the test is as much shorter
libraries = [[number] for number in range(400_000)]
if sys.argv[1] == "what comes":
    freeze_existing_objects()
else:
    gc.collect()

class Call:
    dead = most = 0

    def __init__(self):
        self.itself = self

    def __del__(self):
        Call.dead -= 1

running = deque(Call() for _ in range(2_000))
for _ in range(120_000):
    running.append(Call())
    running.popleft()
    Call.dead += 1
    Call.most = max(Call.most, Call.dead)
print(Call.most)
"""


def test_garbage_with_cycles_does_not_pile_up_in_a_process_with_many_objects() -> None:
    """Return how many dead long calls with reference cycles were never collected."""

    def most(how: str) -> int:
        command = [sys.executable, "-c", _GARBAGE_OF_CALLS, how]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    assert most("everything") > 80_000
    assert most("what comes") < 30_000
