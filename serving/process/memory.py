"""What happens to freed memory: it is kept for the next frame, or returned to the system after a session.

Call each function once, unless its docstring says otherwise. Those that tune the C library's heap do nothing and return
False if the library is not glibc.
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
"""The free memory kept at the end of the heap; only the excess returns to the system."""

_MAPPED_FROM_BYTES: Final = 32 * 2**20
"""Larger blocks are mapped, and returned when freed. This is glibc's maximum; a message is smaller."""

IN_ENVIRONMENT: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(_MAPPED_FROM_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(KEPT_BYTES),
}
"""`keep_freed_memory` for a third-party program, which returns none of these pages while it runs."""

_SWEEP_AFTER_SECONDS: Final = 1.0

_LARGE_BYTES: Final = 2**20
"""Larger than the buffers used for each frame: the kernel clears the pages of every new mapping."""


def keep_freed_memory(kept_bytes: int = KEPT_BYTES) -> bool:
    """Keep the pages of freed pictures and messages. Call it before any thread starts.

    By default glibc returns them at once, and the kernel clears the same pages again for the next frame: several
    hundred per frame at 512x512. All threads share one arena, because each arena would keep pages of its own.
    """
    return _mallopt((_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES), (_M_TRIM_THRESHOLD, kept_bytes), (_M_ARENA_MAX, 1))


def keep_large_blocks_apart() -> bool:
    """Map blocks of 1 MiB or more, and allocate all others from one arena, so that freed memory can be returned.

    By default glibc creates an arena for each thread, and once a large block is freed it puts the next one into an
    arena too. A library with short-lived threads and large buffers, such as MediaPipe, then leaves the process with
    many times the memory it needs. Call it before any thread starts; see `give_freed_back`.
    """
    return _mallopt((_M_MMAP_THRESHOLD, _LARGE_BYTES), (_M_ARENA_MAX, 1))


def give_freed_back() -> bool:
    """Return every unused page to the system. Takes up to some tenths of a second, so call it in a worker thread.

    Reference cycles, and the pictures they keep alive, are collected first.
    """
    gc.collect()
    if platform.libc_ver()[0] != "glibc":
        return False
    _c_library().malloc_trim(0)
    return True


def freeze_existing_objects() -> None:
    """Make Python's garbage collector ignore all objects that exist now, permanently. Call it after the warm-up.

    A full collection runs only once the number of objects has grown by a quarter, and libraries hold a hundred thousand
    objects. Until then the garbage of thousands of calls stays alive, and the collection itself takes as long as a
    frame. Calls leave little garbage, so it can be collected often and soon.
    """
    gc.collect()
    gc.freeze()
    # This resets the collector's count of long-lived objects to the unfrozen ones, which are none.
    gc.collect()


class Sweeper:
    """Runs Python's garbage collector soon after calls have ended, once for all that end together.

    grpcio leaves reference cycles behind every call. Those of a long call are in the oldest generation, which the
    collector visits late. A run takes 0.1 ms, because objects frozen by `freeze_existing_objects` are skipped.
    """

    def __init__(self) -> None:
        self._waiting = False

    def call_ended(self) -> None:
        """Schedule a sweep. Call it in the event loop, while the call still holds its objects."""
        if not self._waiting:
            self._waiting = True
            asyncio.get_running_loop().call_later(_SWEEP_AFTER_SECONDS, self._sweep)

    def _sweep(self) -> None:
        self._waiting = False
        gc.collect()


def _mallopt(*options: tuple[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = _c_library().mallopt
    accepted = [mallopt(name, value) for name, value in options]
    return set(accepted) == {1}


@cache
def _c_library() -> ctypes.CDLL:
    """Load the library once: each load creates a new class, which only the garbage collector frees."""
    return ctypes.CDLL(None)
