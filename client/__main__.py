"""The `dance` command. Exit codes: see `client/command_line.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from serving.process.entry import begin, ending, importing, started


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `dance` with `arguments` (default: the process's own) and exit."""
    begin()
    import client.command_line  # noqa: F401  takes a second, during which Ctrl-C already works

    started()
    code = run(sys.argv[1:] if arguments is None else arguments)
    ending()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run `dance`, and return its exit code. An error is one line on stderr; --debug adds the traceback."""
    with importing():
        from client.command_line import run as run_command
    return run_command(arguments)


if __name__ == "__main__":
    main()
