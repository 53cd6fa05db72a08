"""The user's view: notes and progress on stderr, results on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

_FILE_WIDTH = 200
"""Characters per line without a terminal."""


class ProgressLine:
    """A bar with frames, rate and time left. Without a terminal, only interruptions are printed, as lines."""

    def __init__(self, progress: Progress, task: TaskID, description: str) -> None:
        self._progress = progress
        self._task = task
        self._description = description
        self._interrupted = False

    def advance(self) -> None:
        """Count one more frame."""
        self._progress.advance(self._task)

    def restart(self) -> None:
        """Start again at the first frame."""
        self._progress.reset(self._task)

    def interrupted(self, reason: Exception | None) -> None:
        """Report that the server is lost, and why; None reports that it is back."""
        was_interrupted, self._interrupted = self._interrupted, reason is not None
        described = self._description if reason is None else f"{self._description}: reconnecting"
        self._progress.update(self._task, description=described)
        if reason is not None and not was_interrupted:
            self._progress.console.print(Text(f"reconnecting: {reason}"))
        elif reason is None and was_interrupted:
            self._progress.console.print(Text("connected again"))


class Display:
    """Prints to the user. Every message is one line."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, soft_wrap=True)
        if not self.out.is_terminal:
            self.out.width = _FILE_WIDTH  # wide enough for a table
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print something worth knowing."""
        self.err.print(Text(text))

    def source_notes(self, source: str, notes: Sequence[str]) -> None:
        """Print decisions about a video that its owner should know."""
        for note in notes:
            self.note(f"{source}: {note}")

    def warn(self, text: str) -> None:
        """Print something unexpected that does not stop the command."""
        self.err.print(Text.assemble(("warning: ", "yellow"), text))

    def error(self, text: str, details: Sequence[str] = ()) -> None:
        """Print why the command failed. details: lines of a log, printed below the message."""
        self.err.print(Text.assemble(("error: ", "bold red"), text))
        for line in details:
            self.err.print(Text(f"  | {line}", "dim"))

    def finding(self, check: str, text: str, advice: str, *, ok: bool) -> None:
        """Print what one check of `dance doctor` found, and what to do about it."""
        mark = ("ok    ", "green") if ok else ("wrong ", "bold red")
        self.out.print(Text.assemble(mark, f"{check}: {text}"))
        if advice and not ok:
            self.out.print(Text(f"      -> {advice}"))

    @contextmanager
    def starting(self) -> Iterator[Callable[[str], None]]:
        """Show a spinner, and yield the function that changes its text. Without a terminal, print plain lines."""
        if not self.err.is_terminal:
            yield self.note
            return
        with self.err.status("starting") as status:
            yield lambda text: status.update(Text(text))

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[ProgressLine]:
        """Show a line that counts frames while the context lasts."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _FrameRate(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.err, disable=not self.err.is_terminal) as progress:
            task = progress.add_task(description, total=total)
            yield ProgressLine(progress, task, description)

    @contextmanager
    def bytes_progress(self, description: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Show a bar of bytes, and yield the function that sets how many are done. Without a terminal, print a line."""
        if not self.err.is_terminal:
            self.note(f"{description} ({total_bytes / 1e6:.1f} MB)")
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self.err, disable=not self.err.is_terminal) as progress:
            task = progress.add_task(description, total=total_bytes)
            yield lambda done_bytes: progress.update(task, completed=done_bytes)

    def table(
        self,
        headings: Sequence[str],
        rows: Iterable[Sequence[str | Text]],
        *,
        title: str = "",
        names: int | None = None,
    ) -> None:
        """Print one table. names: the number of columns before those with numbers, which are aligned to the right."""
        table = Table(title=title or None, title_justify="left")
        for index, heading in enumerate(headings):
            is_number = names is not None and index >= names
            # In a narrow terminal, headings and names wrap, so that no number is cut short.
            wrapped = heading.replace(" ", "\n") if is_number and self.out.is_terminal else heading
            table.add_column(wrapped, justify="right" if is_number else "left", no_wrap=is_number)
        for row in rows:
            table.add_row(*row)
        self.out.print(table)


class _FrameRate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} fps")
