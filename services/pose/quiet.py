"""Keeps MediaPipe's start-up chatter out of a service's log.

MediaPipe 0.10.21 writes some twenty lines to the process's standard error whenever a graph starts. They come from C++
before its logging is configured, so neither GLOG_minloglevel nor TF_CPP_MIN_LOG_LEVEL reaches them.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

STARTUP_CHATTER: Final = re.compile(
    rb"inference_feedback_manager\.cc.*Disabling support for feedback tensors"
    rb"|Created TensorFlow Lite XNNPACK delegate for CPU"
    rb"|All log messages before absl::InitializeLog\(\) is called are written to STDERR"
    rb"|gl_context(_egl)?\.cc"
)
_STDERR: Final = 2
_one_at_a_time: Final = threading.Lock()


@contextmanager
def startup_chatter_dropped() -> Iterator[None]:
    """While inside, lines on standard error that are known chatter are dropped; all others follow at the end.

    Holds for the whole process, hence for one thread at a time (others wait); meant for the half second in which a
    graph starts.
    """
    with _one_at_a_time, tempfile.TemporaryFile() as caught:
        sys.stderr.flush()
        original = os.dup(_STDERR)
        try:
            os.dup2(caught.fileno(), _STDERR)
            try:
                yield
            finally:
                sys.stderr.flush()
                os.dup2(original, _STDERR)
        finally:
            os.close(original)
            caught.seek(0)
            kept = b"".join(line for line in caught if not STARTUP_CHATTER.search(line))
            if kept:
                os.write(_STDERR, kept)
