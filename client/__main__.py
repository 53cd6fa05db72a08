"""The `dance` command. Exit codes: see `client/command_line.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from serving.process.entry import begin, ending, importing, started


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `dance` with `arguments` (default: the process's own) and exits."""
    begin()
    import client.command_line  # noqa: F401  the first second, in which Ctrl-C is answered already

    started()
    code = run(sys.argv[1:] if arguments is None else arguments)
    ending()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """The exit code of `dance` with `arguments`. What went wrong is one line on stderr; --debug adds the traceback."""
    with importing():
        from client.command_line import run as run_command
    return run_command(arguments)


if __name__ == "__main__":
    main()
