"""The exit codes of a training process, which a batch system can act on."""

from __future__ import annotations

from typing import Final

from serving.errors import is_final

EXIT_PUBLISHED: Final = 0
EXIT_FAILED: Final = 1
"""A bug, a full disk, a failing device: another attempt may succeed."""
EXIT_FINAL: Final = 42
"""The command line, the footage or the actor's name is wrong: every attempt would fail like this one."""
EXIT_INTERRUPTED: Final = 75
"""The process was asked to stop. Its progress is saved, and the same command continues it (EX_TEMPFAIL)."""


def exit_code_of(error: BaseException) -> int:
    """Return the exit code for the error that ended a training."""
    return EXIT_FINAL if is_final(error) else EXIT_FAILED
