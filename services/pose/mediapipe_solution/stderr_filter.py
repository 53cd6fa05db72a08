"""Keep MediaPipe's noise out of a service's log.

MediaPipe 0.10.21 writes about twenty lines to standard error whenever a graph starts, and another one at the first
person. They come from C++ before its logging is configured, so GLOG_minloglevel and TF_CPP_MIN_LOG_LEVEL have no
effect on them.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
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
_PROGRAM: Final = """\
import re, sys
chatter = re.compile(sys.argv[1].encode())
for line in sys.stdin.buffer:
    if not chatter.search(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""


class _Filter:
    """Filters standard error in a separate process.

    A separate process, because C++ may abort this one, and the last lines before a crash must not be lost. All threads
    share standard error, so the first thread that enters redirects it, and the last one that leaves restores it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._original = -1
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def turned_on(self, *, stays: bool) -> Iterator[None]:
        """Filter standard error while inside.

        stays: keep the filter's process for the next time; else all lines have been written when this returns.
        """
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
        """End the process, unless a thread is inside."""
        with self._lock:
            if self._inside == 0:
                self._end()

    def _turn_on(self) -> None:
        sys.stderr.flush()
        if self._process is None:
            command = [sys.executable, "-I", "-S", "-c", _PROGRAM, f"{STARTUP_CHATTER}|{FIRST_PERSON_CHATTER}"]
            # In its own session, so that Ctrl-C does not end it before it has written everything.
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
        # A child process that was started in the meantime keeps the pipe open, and the filter waits for it.
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_LINES_SECONDS)


_filter: Final = _Filter()
_person_seen: Final = threading.Event()
atexit.register(_filter.end)


def startup_chatter_dropped() -> AbstractContextManager[None]:
    """Drop known noise from the process's standard error while a graph starts, which takes half a second."""
    return _filter.turned_on(stays=False)


def first_person_chatter_dropped() -> AbstractContextManager[None]:
    """Do the same for one picture. Does nothing after `person_seen`, because MediaPipe is quiet from then on."""
    return nullcontext() if _person_seen.is_set() else _filter.turned_on(stays=True)


def person_seen() -> None:
    """Record that the process has seen its first person. Call this outside `first_person_chatter_dropped`."""
    if not _person_seen.is_set():
        _person_seen.set()
        _filter.end()
