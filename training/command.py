"""`python -m training.command FOOTAGE --actor NAME`: the training job from a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from serving.errors import DanceError
from training import job
from training.presets import PRESETS, preset_named
from training.stopping import stop_on_signals
from training.trainer import TrainingStopped


class ProgressLine:
    """Shows a job's progress as one line that is redrawn, and what it notes as lines that stay."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task: TaskID | None = None
        self._phase = ""

    def show(self, now: job.Progress) -> None:
        """Takes one report of the job."""
        if self._task is None or now.phase != self._phase:
            if self._task is not None:
                self._progress.remove_task(self._task)
            self._phase = now.phase
            self._task = self._progress.add_task(now.phase, total=1.0, details="")
        if now.note:
            self._progress.console.print(now.note)
        self._progress.update(self._task, completed=now.part or 0.0, details=_details(now))


def _details(now: job.Progress) -> str:
    parts = [str(now.done)] if now.done else []
    if now.pictures_per_second is not None:
        parts.append(f"{now.pictures_per_second:.2f}/s")
    if now.seconds_left is not None:
        parts.append(f"{now.seconds_left / 60:.1f} min left")
    parts += [f"{name} {value:.3f}" for name, value in now.losses.items()]
    return "  ".join(parts)


def train(
    footage: Annotated[Path, typer.Argument(help="A video of the actor: one person, whole body, static camera.")],
    actor: Annotated[str, typer.Option(help="The actor's id.")],
    preset: Annotated[str, typer.Option(help=f"One of: {', '.join(PRESETS)}.")] = "slim-256",
    minutes: Annotated[float | None, typer.Option(help="Of training; preparing and scoring come on top.")] = None,
    pictures: Annotated[int | None, typer.Option(help="At most this many pictures drawn in training.")] = None,
    store: Annotated[Path, typer.Option(help="Where actors are published.")] = Path("actors"),
    work: Annotated[Path, typer.Option(help="Where the job keeps what it needs to go on.")] = Path("work"),
    seed: Annotated[int, typer.Option()] = 0,
    consent: Annotated[str, typer.Option(help="Who agreed to what.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
) -> None:
    """Trains an actor and publishes it. Stopped with Ctrl-C, the same command goes on."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(20), TextColumn("{task.percentage:.0f}%"))
    with Progress(*columns, TextColumn("{task.fields[details]}"), console=console) as line, stop_on_signals() as stop:
        try:
            settings = job.JobSettings(
                footage=footage,
                actor=actor,
                store_root=store,
                work_root=work,
                preset=preset_named(preset),
                minutes=minutes,
                pictures=pictures,
                seed=seed,
                consent=consent,
                device=device,
            )
            published = job.train_actor(settings, ProgressLine(line).show, stop)
        except TrainingStopped as stopped:
            console.print(str(stopped))
            raise typer.Exit(130) from stopped
        except DanceError as error:
            console.print(f"error: {error}")
            raise typer.Exit(1) from error
    console.print(f"{published.id} version {published.version} in {published.folder}")


if __name__ == "__main__":
    typer.run(train)
