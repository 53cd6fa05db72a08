"""The `dance` command after its imports: run one sub-command, and turn any failure into one line and an exit code.

Exit codes: 0 done; 1 nothing useful was produced; 2 invalid command line; 75 `dance train` was ended by SIGTERM; 130
interrupted.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import typer

from client.commands.app import app, options
from client.errors import EXIT_INTERRUPTED, EXIT_NOTHING_USEFUL, EXIT_USAGE, CommandError, StackFailed
from client.terminal.display import Display
from serving.errors import BadSettings, DanceError


def run(arguments: Sequence[str]) -> int:
    """Run `dance`, return its exit code. An error is one line on stderr; --debug adds the traceback."""
    display = Display()
    options.debug = False
    try:
        code = app(args=list(arguments), prog_name="dance", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except CommandError as error:
        return _told(display, error, error.exit_code, error.log_tail if isinstance(error, StackFailed) else ())
    except BadSettings as error:
        return _told(display, error, EXIT_USAGE)
    except DanceError as error:
        return _told(display, error, EXIT_NOTHING_USEFUL)
    except (KeyboardInterrupt, typer.Abort) as error:
        return _told(display, error, EXIT_INTERRUPTED, message="interrupted")
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:  # typer's own errors, whose class has moved between releases
            if type(error).__name__ == "NoArgsIsHelpError":
                display.note(usage())
                return EXIT_USAGE
            message = usage().replace(": Value error, ", ": ")  # what pydantic puts before a choice's own text
            return _told(display, error, EXIT_USAGE, message=message)
        message = f"{type(error).__name__}: {error} (--debug shows where)"
        return _told(display, error, EXIT_NOTHING_USEFUL, message=message)


def _told(
    display: Display, error: BaseException, code: int, details: Sequence[str] = (), *, message: str | None = None
) -> int:
    if options.debug:
        traceback.print_exception(error)
    display.error(" ".join((str(error) if message is None else message).split()), details)
    return code
