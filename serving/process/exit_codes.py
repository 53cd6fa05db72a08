"""How a training process ends, as numbers that a batch system can act on."""

from __future__ import annotations

from typing import Final

from serving.errors import is_final

EXIT_PUBLISHED: Final = 0
EXIT_FAILED: Final = 1
"""A bug, a full disk, a device that fails: another attempt may go better."""
EXIT_FINAL: Final = 42
"""The command line, the footage or the actor's name is at fault: every attempt would end like this one."""
EXIT_INTERRUPTED: Final = 75
"""Somebody asked the process to end; what was trained is kept, and the same command goes on (EX_TEMPFAIL)."""


def exit_code_of(error: BaseException) -> int:
    """The number for what ended a training."""
    return EXIT_FINAL if is_final(error) else EXIT_FAILED
