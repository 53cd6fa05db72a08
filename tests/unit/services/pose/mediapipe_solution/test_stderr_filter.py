"""MediaPipe's log messages are kept off standard error, and everything else gets through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from services.pose.mediapipe_solution.stderr_filter import startup_chatter_dropped


def test_only_known_chatter_is_dropped(capfd):
    """Known noise disappears; everything else on standard error gets through."""
    with startup_chatter_dropped():
        os.write(2, b"W0000 inference_feedback_manager.cc:114] ... Disabling support for feedback tensors.\n")
        os.write(2, b"E0000 something is wrong\n")
    assert capfd.readouterr().err == "E0000 something is wrong\n"


def test_the_last_lines_before_a_crash_are_not_lost(root):
    """If C++ aborts the process during filtering, its last lines are still written to standard error."""
    program = (
        "import os\n"
        "from services.pose.mediapipe_solution.stderr_filter import startup_chatter_dropped\n"
        "with startup_chatter_dropped():\n"
        "    os.write(2, b'I0000 gl_context.cc:369 chatter\\nF0000 the model is damaged\\n')\n"
        "    os.abort()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=60)
    assert ended.returncode == -signal.SIGABRT
    assert ended.stderr == "F0000 the model is damaged\n"


def test_chatter_is_dropped_when_the_start_fails(capfd):
    """Standard error is restored after an error."""
    with pytest.raises(RuntimeError, match="no model"), startup_chatter_dropped():
        raise RuntimeError("no model")
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"
