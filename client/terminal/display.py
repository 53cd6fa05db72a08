"""What the user sees: notes and progress on stderr, results on stdout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

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

from client.connection.types import ActorListing
from client.training.scores import ScoreRow
from client.transfer.report import TransferReport
from motion.frame import NoPictureReason

if TYPE_CHECKING:
    from client.cluster.job_status import TrainingJob

_WHY = {
    NoPictureReason.NO_PERSON: "no person",
    NoPictureReason.DROPPED: "dropped",
    NoPictureReason.BAD_FRAME: "bad frame",
    NoPictureReason.NOT_PLACED: "person without a place (head, hips and both ankles not seen together yet)",
}
_FILE_WIDTH = 200
"""Characters, of a line where there is no terminal."""


class ProgressLine:
    """A bar with frames, rate and time left. Where there is no terminal, only interruptions are told, as lines."""

    def __init__(self, progress: Progress, task: TaskID, description: str) -> None:
        self._progress = progress
        self._task = task
        self._description = description
        self._interrupted = False

    def advance(self) -> None:
        """One frame more."""
        self._progress.advance(self._task)

    def restart(self) -> None:
        """From the first frame again."""
        self._progress.reset(self._task)

    def interrupted(self, reason: Exception | None) -> None:
        """Says that the server is gone, and why, or with None that it is there again."""
        was_interrupted, self._interrupted = self._interrupted, reason is not None
        described = self._description if reason is None else f"{self._description}: reconnecting"
        self._progress.update(self._task, description=described)
        if reason is not None and not was_interrupted:
            self._progress.console.print(Text(f"reconnecting: {reason}"))
        elif reason is None and was_interrupted:
            self._progress.console.print(Text("connected again"))


class Display:
    """Speaks to the user. Every message is one line."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, soft_wrap=True)
        if not self.out.is_terminal:
            self.out.width = _FILE_WIDTH  # a table takes what it needs
        self.err = Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Something worth knowing."""
        self.err.print(Text(text))

    def source_notes(self, source: str, notes: Sequence[str]) -> None:
        """What was decided about a video that its owner should know."""
        for note in notes:
            self.note(f"{source}: {note}")

    def warn(self, text: str) -> None:
        """Something that is not as the user may expect, but does not stop us."""
        self.err.print(Text.assemble(("warning: ", "yellow"), text))

    def error(self, text: str, details: Sequence[str] = ()) -> None:
        """Why nothing came out. details: lines of a log, below the message."""
        self.err.print(Text.assemble(("error: ", "bold red"), text))
        for line in details:
            self.err.print(Text(f"  | {line}", "dim"))

    def finding(self, check: str, text: str, advice: str, *, ok: bool) -> None:
        """What one check of `dance doctor` found, and what to do about it."""
        mark = ("ok    ", "green") if ok else ("wrong ", "bold red")
        self.out.print(Text.assemble(mark, f"{check}: {text}"))
        if advice and not ok:
            self.out.print(Text(f"      -> {advice}"))

    @contextmanager
    def starting(self) -> Iterator[Callable[[str], None]]:
        """A spinner; gives the function that changes its text. Plain lines where there is no terminal."""
        if not self.err.is_terminal:
            yield self.note
            return
        with self.err.status("starting") as status:
            yield lambda text: status.update(Text(text))

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[ProgressLine]:
        """The line that counts frames while the context lasts."""
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

    def report(self, report: TransferReport) -> None:
        """The table of stages, and what happened to the frames."""
        rows = report.stages()
        if rows:
            table = Table(title="milliseconds per frame", title_justify="left")
            table.add_column("stage")
            for heading in ("frames", "compute p50", "compute p95", "queue p50", "queue p95", "stage p50"):
                table.add_column(heading, justify="right")
            for row in rows:
                times = (row.compute_p50_ms, row.compute_p95_ms, row.queue_p50_ms, row.queue_p95_ms, row.total_p50_ms)
                table.add_row(row.stage, str(row.frames), *(f"{value:.1f}" for value in times))
            self.out.print(table)
        self.out.print(Text(_summary(report)))
        if report.remarks:
            told = ", ".join(f"{name} {count}" for name, count in report.remarks.most_common())
            self.out.print(Text(f"remarks, in frames: {told}"))

    def scores(self, rows: Sequence[ScoreRow]) -> None:
        """A table of how well an actor draws frames that it was not trained on, beside what it must beat."""
        if not rows:
            return
        table = Table(title=f"{rows[0].frames} held-out frames", title_justify="left")
        table.add_column("drawn by", no_wrap=True)
        for heading in ("body SSIM", "body PSNR dB", "face SSIM", "face PSNR dB", "pose distance"):
            table.add_column(heading, justify="right")
        for row in rows:
            values = (row.body_ssim, row.body_psnr_db, row.face_ssim, row.face_psnr_db, row.pose_distance)
            digits = (3, 1, 3, 1, 3)
            told = ("" if value is None else f"{value:.{n}f}" for value, n in zip(values, digits, strict=True))
            table.add_row(row.drawn_by, *told)
        self.out.print(table)

    @contextmanager
    def bytes_progress(self, description: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """A bar of bytes; gives the function that is told how many there are now. A line where there is no terminal."""
        if not self.err.is_terminal:
            self.note(f"{description} ({total_bytes / 1e6:.1f} MB)")
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=self.err, disable=not self.err.is_terminal) as progress:
            task = progress.add_task(description, total=total_bytes)
            yield lambda done_bytes: progress.update(task, completed=done_bytes)

    def jobs(self, jobs: Sequence[TrainingJob]) -> None:
        """A table of trainings on a cluster."""
        table = Table()
        for heading in ("job", "actor", "state", "pods", "retries", "begun (UTC)", "why"):
            table.add_column(heading)
        for job in jobs:
            begun = "" if job.created is None else f"{job.created:%Y-%m-%d %H:%M}"
            state = "ending" if job.going else job.state
            counts = (str(job.nodes), f"{job.attempts}/{job.attempts_allowed}")
            table.add_row(job.name, job.actor, state, *counts, begun, Text(job.why))
        self.out.print(table)

    def tables(self, title: str, tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]]]]) -> None:
        """Tables of words below a title: each its own title, headings and rows."""
        self.out.print(Text(title, "bold"))
        for name, headings, rows in tables:
            table = Table(title=name, title_justify="left")
            # A terminal may be narrow: headings stand in several lines then, names too, and no number is cut short.
            table.add_column(headings[0])
            for heading in headings[1:]:
                told = heading.replace(" ", "\n") if self.out.is_terminal else heading
                table.add_column(told, justify="right", no_wrap=True)
            for row in rows:
                table.add_row(*row)
            self.out.print(table)

    def actors(self, actors: Sequence[ActorListing]) -> None:
        """A table of actors."""
        table = Table()
        for heading in ("actor", "version", "preset", "picture", "full frame", "new sessions", "state"):
            table.add_column(heading)
        for actor in actors:
            sizes = [
                "" if size is None else f"{size.width_px}x{size.height_px}"
                for size in (actor.stage_size, actor.full_frame_size)
            ]
            state = actor.unavailable or "ready"
            share = f"{actor.served_percent:g} %" if actor.served_percent else ""
            table.add_row(actor.actor, str(actor.version), actor.preset, *sizes, share, Text(state))
        self.out.print(table)


class _FrameRate(ProgressColumn):
    """Frames per second."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:.1f} fps")


def _summary(report: TransferReport) -> str:
    parts = [f"{report.answered} frames in {report.seconds:.1f} s ({report.frames_per_second:.1f} fps)"]
    parts.append(f"{report.pictures} pictures")
    parts += [f"{count} {_WHY[why]}" for why, count in report.without_picture.most_common()]
    if report.skipped:
        parts.append(f"{report.skipped} skipped before sending")
    if report.lost_under_way:
        parts.append(f"{report.lost_under_way} lost with the connection")
    if report.lost:
        parts.append(f"{report.lost} lost in the source")
    if report.reconnects:
        parts.append(f"reconnected {report.reconnects} {'time' if report.reconnects == 1 else 'times'}")
    if report.precision:
        parts.append(f"generator in {report.precision}")
    return ", ".join(parts)
