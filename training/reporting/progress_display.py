"""Show a training's progress: as bars in a terminal, as plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from training.reporting.progress import PlainLines, Progress, progress_of


class Showing:
    """The display of a training's progress and notes."""

    def __init__(self, console: Console, bars: Bars) -> None:
        self._console = console
        self._bars = bars
        self._tasks: dict[str, TaskID] = {}
        self._lines = None if console.is_terminal else PlainLines(self.say)

    def progress(self, progress: Progress) -> None:
        """Show a bar for each phase, with notes above them; or lines."""
        if self._lines is not None:
            self._lines.progress(progress)
            return
        if progress.note:
            self.say(f"{progress.phase}: {progress.note}")
        if progress.phase not in self._tasks:
            for task in self._tasks.values():
                self._bars.stop_task(task)
            self._tasks[progress.phase] = self._bars.add_task(progress.phase, total=None, facts="")
        total = None if progress.part is None else 1.0
        task = self._tasks[progress.phase]
        self._bars.update(task, completed=progress.part or 0.0, total=total, facts=_facts(progress))

    def line(self, text: str) -> None:
        """Show a line of another training's log: progress as a bar in a terminal, any other line unchanged."""
        progress = progress_of(text) if self._lines is None else None
        if progress is None:
            self.say(text)
        else:
            self.progress(progress)

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(Text(text))


@contextmanager
def shown(console: Console) -> Iterator[Showing]:
    """Show progress on `console` inside the context."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[facts]}"))
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        yield Showing(console, bars)


def _facts(progress: Progress) -> str:
    facts = [f"{progress.done} {progress.unit}"] if progress.done else []
    if progress.pictures_per_second is not None:
        facts.append(f"{progress.pictures_per_second:.1f} {progress.unit}/s")
    if progress.seconds_left is not None:
        facts.append(f"{progress.seconds_left / 60:.1f} min left")
    facts += [f"{name} {value:.2f}" for name, value in list(progress.losses.items())[:3]]
    return ", ".join(facts)
