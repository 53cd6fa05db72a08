"""`python -m training`: train one actor as a batch job, with the options of `dance train`.

Exit codes: 0 published; 42 a retry cannot help; 75 interrupted, even in the first second, and the same command
continues; 1 anything else.
"""

from __future__ import annotations

if __name__ == "__main__":  # before the imports, where a signal would end in a traceback
    from serving.process.entry import begin

    begin(75)  # EXIT_INTERRUPTED, whose module takes time to import

import sys
import traceback
from collections.abc import Callable, Sequence

import typer
from rich.console import Console
from rich.text import Text

from serving.actors.rollout_cli import published_line
from serving.errors import DanceError
from serving.process.entry import ending, started
from serving.process.exit_codes import EXIT_FAILED, EXIT_FINAL, EXIT_INTERRUPTED, EXIT_PUBLISHED, exit_code_of
from serving.process.option_groups import option_groups
from serving.process.stop_signals import stop_on_signals
from training.consent_options import WITHOUT_CONSENT
from training.options import FootageRequest, TrainRequest
from training.reporting.progress_display import shown

app = typer.Typer(name="training", add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
@option_groups
def training(training: Callable[..., TrainRequest], footage: FootageRequest) -> int:
    """Train an actor from footage, and publish it. After a stop, the same command continues.

    Exit codes: 0 published; 42 the options or the footage are wrong, and a retry cannot help; 75 stopped by SIGTERM or
    SIGINT after a checkpoint; 1 anything else.
    """
    request = training(footage=footage)
    # The handlers come before torch, whose import takes seconds: without one, the first process of a container ignores
    # SIGTERM.
    with stop_on_signals() as should_stop:
        return _trained(request, should_stop)


def _trained(request: TrainRequest, should_stop: Callable[[], bool]) -> int:
    from training.job import train_actor
    from training.loop.trainer import TrainingStopped
    from training.process.distributed import is_first_process
    from training.settings import JobSettings

    # Processes that train together would all print the same: only the first one prints.
    console = Console(highlight=False, soft_wrap=True, quiet=not is_first_process())
    settings = JobSettings.of(request)
    try:
        with shown(console) as showing:
            if not settings.consent_record.is_stated:
                showing.say(WITHOUT_CONSENT)
            showing.say(f"pictures of the growing actor: {settings.work_folder / 'preview.png'}")
            published = train_actor(settings, showing.progress, should_stop)
    except TrainingStopped as stopped:
        console.print(Text(f"interrupted: {stopped}; the same command goes on"))
        return EXIT_INTERRUPTED
    console.print(Text(published_line(published)))
    return EXIT_PUBLISHED


def run(arguments: Sequence[str]) -> int:
    """The exit code of `python -m training` with `arguments`. Errors are printed on stderr."""
    try:
        code = app(args=list(arguments), prog_name="python -m training", standalone_mode=False)
        return code if isinstance(code, int) else EXIT_PUBLISHED
    except DanceError as error:
        return _reported(str(error), exit_code_of(error))
    except (KeyboardInterrupt, typer.Abort):
        return _reported("interrupted twice; the last checkpoint stands", EXIT_FAILED)
    except Exception as error:
        usage = getattr(error, "format_message", None)
        if usage is not None:  # a usage error: typer has moved the class between releases
            return _reported(usage(), EXIT_FINAL)
        traceback.print_exc()  # a pod leaves nothing but its log
        return _reported(f"{type(error).__name__}: {error}", EXIT_FAILED)


def _reported(message: str, code: int) -> int:
    print("error:", " ".join(message.split()), file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    started()
    exit_code = run(sys.argv[1:])
    ending()
    sys.exit(exit_code)
