"""The start and end of a process: early signals end it with one line, and any file name can be printed.

This is imported before everything else, so it imports nothing slow.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final, TextIO

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SIGNALLED: Final = 128
"""A shell adds the signal's number to this for a process that a signal ended: 130 for Ctrl-C."""


_exit_code: int | None = None


def begin(exit_code: int | None = None) -> None:
    """Begin the process: until `started`, Ctrl-C and SIGTERM end it with one line and exit code 130 or 143.

    Call it first. From then on, characters that the terminal's encoding lacks are printed as escapes.

    exit_code: replaces both exit codes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIO) or hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    global _exit_code
    _exit_code = exit_code
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # by nohup, or for a shell's background job
            signal.signal(number, _end)


def started() -> None:
    """End the start-up, after all imports: restore Python's own signal handling."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is _end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ending() -> None:
    """Begin the end, when all work is done: a signal can interrupt only the interpreter's own shutdown."""
    begin(_exit_code)


@contextmanager
def importing() -> Iterator[None]:
    """Wrap slow imports: a library may swallow KeyboardInterrupt, or print a long traceback.

    Does nothing if other code handles Ctrl-C already.
    """
    ours = False
    with suppress(ValueError):  # signals belong to the main thread
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _end)
            ours = True
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    """Exit at once: half-imported modules cannot shut down properly, and there is nothing to clean up yet."""
    with suppress(OSError):
        os.write(2, b"interrupted\n" if number == signal.SIGINT else b"terminated\n")
    os._exit(_SIGNALLED + number if _exit_code is None else _exit_code)
