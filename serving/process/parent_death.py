"""A program that ends when its starter does, however that came about.

`adopted.py PARENT_PID [--no-zombies] PROGRAM ARGUMENTS...`

Run by its path, in an isolated interpreter without site-packages, so that it starts fast. A program of its own, and not
code between fork and exec: that must not run in a process that has gRPC's threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NO_ZOMBIES = "--no-zombies"


def adopted(*command: str, no_zombies: bool = False) -> tuple[str, ...]:
    """The command that runs `command` (absolute path of a program, arguments) as a child of this very process.

    Linux sends it SIGTERM when this process dies; elsewhere it merely refuses to start without its parent.

    no_zombies: the system clears its dead children away, for a program that forgets some of its own. Not for one that
    wants to know how its children ended.
    """
    options = (_NO_ZOMBIES,) if no_zombies else ()
    return (sys.executable, "-ISE", os.path.abspath(__file__), str(os.getpid()), *options, *command)  # noqa: PTH100


def main() -> None:
    """Asks Linux for SIGTERM at the parent's death, then executes the program in this process."""
    parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the request: then nobody would ever end this process.
    if os.getppid() != int(parent_pid):
        sys.exit("the process that started this is gone")
    if command[0] == _NO_ZOMBIES:
        command = command[1:]
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # what is ignored stays ignored across execv
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
