"""A program that runs another one, which ends when the parent process dies, for whatever reason.

`parent_death.py PARENT_PID [--no-zombies] PROGRAM ARGUMENTS...`

It is run by its path, in an isolated interpreter without site-packages, so that it starts fast. It is a separate
program because code between fork and exec is not safe in a process with gRPC's threads.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_NO_ZOMBIES = "--no-zombies"


def adopted(*command: str, no_zombies: bool = False) -> tuple[str, ...]:
    """Return the command that runs `command` (absolute path of a program, arguments) as a child of this process.

    Linux sends it SIGTERM when this process dies; other systems only refuse to start it without its parent.

    no_zombies: the system reaps its dead children, for a program that forgets to. Not for a program that needs its
    children's exit codes.
    """
    options = (_NO_ZOMBIES,) if no_zombies else ()
    return (sys.executable, "-ISE", os.path.abspath(__file__), str(os.getpid()), *options, *command)  # noqa: PTH100


def main() -> None:
    """Request a SIGTERM at the parent's death, then execute the program in this process."""
    parent_pid, *command = sys.argv[1:]
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM) != 0:
        sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    # If the parent died before the request, nothing would ever end this process.
    if os.getppid() != int(parent_pid):
        sys.exit("the process that started this one has ended")
    if command[0] == _NO_ZOMBIES:
        command = command[1:]
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # an ignored signal stays ignored across execv
    os.execv(command[0], command)


if __name__ == "__main__":
    main()
