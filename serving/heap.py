"""How the C library's heap treats what is freed: kept for the next frame, which needs just as much."""

from __future__ import annotations

import ctypes
import platform
from typing import Final

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h

KEPT_BYTES: Final = 64 * 2**20
"""Of free memory at the end of the heap; only what exceeds it goes back to the system."""

_MAPPED_FROM_BYTES: Final = 32 * 2**20
"""Larger blocks are mapped, and given back when freed. It is the most that glibc takes; a message is below it."""


_PICTURES_FROM_BYTES: Final = 2**20
_FEW_ARENAS: Final = 2


def keep_freed_memory() -> bool:
    """Has this process keep the pages of freed pictures and messages. To be called before threads are started.

    By itself glibc gives them back at once, and the kernel clears the same pages again for the next frame: some
    hundreds a frame at 512x512. False where the C library is not glibc; then nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = (mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES), mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
    return accepted == (1, 1)


def give_freed_pictures_back() -> bool:
    """The opposite, for long jobs: freed pictures go back to the system. To be called before threads are started.

    By itself glibc keeps a heap for every thread, and what is freed between live blocks of each of them. False where
    the C library is not glibc; then nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    accepted = (mallopt(_M_MMAP_THRESHOLD, _PICTURES_FROM_BYTES), mallopt(_M_ARENA_MAX, _FEW_ARENAS))
    return accepted == (1, 1)


def trim() -> None:
    """Gives all free memory of the heap back to the system, now; nothing where the C library is not glibc."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
