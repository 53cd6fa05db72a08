"""Becomes another program that ends when its parent does: `adopted.py PARENT_PID PROGRAM ARGUMENTS...`.

A program of its own, and not code between fork and exec: that must not run in a process that has gRPC's threads.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Asks Linux for SIGTERM at the parent's death, then executes the program in this process."""
    parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    # The parent may have died before the request: then nobody would ever end this process.
    if os.getppid() != int(parent_pid):
        sys.exit("the parent has gone")
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
