"""What becomes of memory that nobody uses: kept for the next frame, or given back behind a session.

Each function is called once, or where it says. Those that are about the C library's heap give False where it is not
glibc, and nothing is changed.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import platform
from functools import cache
from typing import Final

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h

KEPT_BYTES: Final = 64 * 2**20
"""Of free memory at the end of the heap; only what exceeds it goes back to the system."""

_MAPPED_FROM_BYTES: Final = 32 * 2**20
"""Larger blocks are mapped, and given back when freed. It is the most that glibc takes; a message is below it."""

IN_ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(_MAPPED_FROM_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
}
"""`keep_freed_memory` for a program that is not ours; nothing gives such pages back while it lives."""

_SWEEP_AFTER_SECONDS: Final = 1.0

_LARGE_BYTES: Final = 2**20
"""More than the buffers that come and go with a frame: the kernel clears a mapping's pages each time."""


def keep_freed_memory(kept_bytes: int = KEPT_BYTES) -> bool:
    """Has this process keep the pages of freed pictures and messages. To be called before threads are started.

    By itself glibc gives them back at once, and the kernel clears the same pages again for the next frame: some
    hundreds a frame at 512x512. All threads share one arena, since each more would keep pages of its own.
    """
    return _told((_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES), (_M_TRIM_THRESHOLD, kept_bytes), (_M_ARENA_MAX, 1))


def keep_large_blocks_apart() -> bool:
    """Has this process map blocks of 1 MiB or more, and take all others from one arena, so that little is left behind.

    By itself glibc makes an arena for every thread that asks, and a large block that is freed teaches it to put the
    next one into an arena too. A library with threads that come and go, and large buffers, as MediaPipe is, so leaves
    many times of what it needs with the process. To be called before threads are started; see `give_freed_back`.
    """
    return _told((_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_ARENA_MAX, 1))


def give_freed_back() -> bool:
    """Gives every page back that nobody uses. Takes up to some tenths of a second: for a thread that has the time.

    Objects that hold each other, and the pictures that they hold, are collected first.
    """
    gc.collect()
    if platform.libc_ver()[0] != "glibc":
        return False
    _c_library().malloc_trim(0)
    return True


def collect_only_what_comes() -> None:
    """Has Python's collector of cycles pass over all that there is now, for good. To be called when all is warm.

    It looks at everything only when a quarter as many objects have been added, and libraries are a hundred thousand:
    the garbage of some thousand calls lies around until then, and looking takes as long as a frame. What calls leave
    behind is little, so it is looked at often, and at once.
    """
    gc.collect()
    gc.freeze()
    # What it remembers as the number of all is then the number of what is not frozen: none.
    gc.collect()


class Sweeper:
    """Has Python's collector of cycles run soon after calls have ended, and once for all that end together.

    Of every call grpcio leaves objects that hold each other, and those of a long call are old by then, and would be
    looked for late. What `collect_only_what_comes` has frozen is not looked at: it takes 0.1 ms.
    """

    def __init__(self) -> None:
        self._waiting = False

    def call_ended(self) -> None:
        """To be called in the event loop, while the call still holds its objects."""
        if not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(_SWEEP_AFTER_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._waiting = False
        gc.collect()


def _told(*options: tuple[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = _c_library().mallopt
    accepted = [mallopt(name, value) for name, value in options]
    return set(accepted) == {1}


@cache
def _c_library() -> ctypes.CDLL:
    """Once: each makes a class of its own, which only the collector of cycles removes."""
    return ctypes.CDLL(None)
