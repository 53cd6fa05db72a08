"""Keeps MediaPipe's chatter out of a service's log.

MediaPipe 0.10.21 writes some twenty lines to the process's standard error whenever a graph starts, and one more at the
first person. They come from C++ before its logging is configured, so neither GLOG_minloglevel nor TF_CPP_MIN_LOG_LEVEL
reaches them.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

STARTUP_CHATTER: Final = (
    r"inference_feedback_manager\.cc.*Disabling support for feedback tensors"
    r"|Created TensorFlow Lite XNNPACK delegate for CPU"
    r"|All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    r"|gl_context(_egl)?\.cc"
)
FIRST_PERSON_CHATTER: Final = r"landmark_projection_calculator\.cc.*Using NORM_RECT without IMAGE_DIMENSIONS"
_STDERR: Final = 2
_LAST_LINES_SECONDS: Final = 2.0
_FILTER: Final = """\
import re, sys
chatter = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not chatter.search(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


class _Sieve:
    """Passes standard error on without chatter, in a process of its own.

    C++ may end this process at once, and its last words are what somebody will look for: they have to be elsewhere by
    then. Standard error belongs to all threads, so the first that enters turns it into the sieve, and the last that
    leaves turns it back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._original = -1
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def turned_on(self, *, stays: bool) -> Iterator[None]:
        """stays: the process goes on afterwards, for the next time; else all lines have passed when this ends."""
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._turn_on()
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    self._turn_off()
                    if not stays:
                        self._end()

    def end(self) -> None:
        """Ends the process, unless somebody is inside."""
        with self._lock:
            if self._inside == 0:
                self._end()

    def _turn_on(self) -> None:
        sys.stderr.flush()
        if self._process is None:
            command = [sys.executable, "-I", "-S", "-c", _FILTER, f"{STARTUP_CHATTER}|{FIRST_PERSON_CHATTER}"]
            # In a session of its own, so that a Ctrl-C does not end it before it has passed everything on.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
            )
        assert self._process.stdin is not None
        self._original = os.dup(_STDERR)
        os.dup2(self._process.stdin.fileno(), _STDERR)

    def _turn_off(self) -> None:
        sys.stderr.flush()
        os.dup2(self._original, _STDERR)
        os.close(self._original)

    def _end(self) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        # A child that was started meanwhile holds the pipe open, and the sieve with it.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_LINES_SECONDS)


_sieve: Final = _Sieve()
_person_seen: Final = threading.Event()
atexit.register(_sieve.end)


@contextmanager
def startup_chatter_dropped() -> Iterator[None]:
    """While inside, lines on standard error that are known chatter are dropped; all others pass.

    Holds for the whole process; meant for the half second in which a graph starts.
    """
    with _sieve.turned_on(stays=False):
        yield


@contextmanager
def first_person_chatter_dropped() -> Iterator[None]:
    """The same for one picture, until `person_seen` was called: afterwards MediaPipe has nothing more to say."""
    if _person_seen.is_set():
        yield
        return
    with _sieve.turned_on(stays=True):
        yield


def person_seen() -> None:
    """The process has seen its first person. Called outside of `first_person_chatter_dropped`."""
    if not _person_seen.is_set():
        _person_seen.set()
        _sieve.end()
