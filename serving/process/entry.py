"""The first and last moments of a process: a signal before anybody handles it is one line, and names can be printed.

Imported ahead of everything else, so it imports nothing that takes time.
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
"""A shell's exit code for a process that a signal ended is this and the signal's number: 130 for Ctrl-C."""


_exit_code: int | None = None


def begin(exit_code: int | None = None) -> None:
    """For the first line of a process: until `started`, Ctrl-C and SIGTERM end it with one line and 130 or 143.

    exit_code: in place of those.

    From here on its output also takes names that the terminal's encoding lacks: they are written as escapes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIO) or hasattr(stream, "reconfigure"):
            with suppress(OSError, ValueError):
                stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    global _exit_code
    _exit_code = exit_code
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, or a shell's background job, wants that
            signal.signal(number, _end)


def started() -> None:
    """All is imported: signals do again what they do in any Python process."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGTERM) is _end:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def ending() -> None:
    """All is done, so that a signal has nothing left to interrupt but the interpreter's own end."""
    begin(_exit_code)


@contextmanager
def importing() -> Iterator[None]:
    """Around imports that take long: a library may swallow KeyboardInterrupt, or die of it in many lines.

    Only where nobody else handles Ctrl-C already.
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
    """At once: half-imported modules cannot be left in good order, and there is nothing to clean up yet."""
    with suppress(OSError):
        os.write(2, b"interrupted\n" if number == signal.SIGINT else b"terminated\n")
    os._exit(_SIGNALLED + number if _exit_code is None else _exit_code)
