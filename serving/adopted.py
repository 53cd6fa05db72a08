"""A program that ends when its starter does, however that came about: `adopted.py PARENT_PID PROGRAM ARGUMENTS...`.

Run by its path, in an isolated interpreter without site-packages, so that it starts fast. A program of its own, and not
code between fork and exec: that must not run in a process that has gRPC's threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def adopted(*command: str) -> tuple[str, ...]:
    """The command that runs `command` (absolute path of a program, arguments) as a child of this very process.

    Linux sends it SIGTERM when this process dies; elsewhere it merely refuses to start without its parent.
    """
    return (sys.executable, "-ISE", os.path.abspath(__file__), str(os.getpid()), *command)  # noqa: PTH100


def main() -> None:
    """Asks Linux for SIGTERM at the parent's death, then executes the program in this process."""
    parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the request: then nobody would ever end this process.
    if os.getppid() != int(parent_pid):
        sys.exit("the process that started this is gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
