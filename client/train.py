"""`dance train`: runs the training job, and shows how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from client.display import Display
from client.errors import CommandError, Interrupted, Stopped

if TYPE_CHECKING:
    from serving.actors import Actor
    from training.job import Progress as JobProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainRequest:
    """What `dance train` was asked for; see `training.job.JobSettings`."""

    footage: Path
    actor: str
    preset: str
    minutes: float | None
    frames: int | None
    losses: str | None
    perceptual: str | None
    vgg_weights: Path | None
    batch: int
    compiled: bool
    start_from: str
    actors_root: Path
    work_root: Path
    seed: int
    consent: str
    device: str


def train(request: TrainRequest, display: Display) -> tuple[Actor, Path] | None:
    """The trained and published actor, and a picture of its held-out frames beside the true ones.

    Ctrl-C and SIGTERM stop at a point from which the same command goes on. Where torchrun started several processes,
    the first one speaks, and the others give None.

    Raises CommandError without the training extra, Interrupted or Stopped when stopped, and what `train_actor` raises.
    """
    try:
        # torch takes seconds to import, and is needed by no other sub-command.
        from training.distributed import is_first_process
        from training.job import JobSettings, train_actor
        from training.presets import preset_named
        from training.stopping import stop_on_signals
        from training.trainer import TrainingStopped
    except ModuleNotFoundError as error:
        raise CommandError(f"training needs {error.name}: pip install 'everybody-dance[training,pose]'") from error
    settings = JobSettings(
        footage=request.footage,
        actor=request.actor,
        store_root=request.actors_root,
        work_root=request.work_root,
        preset=preset_named(request.preset),
        minutes=request.minutes,
        pictures=request.frames,
        losses=request.losses,
        perceptual=request.perceptual,
        vgg_weights=request.vgg_weights,
        batch=request.batch,
        compiled=request.compiled,
        start_from=request.start_from,
        seed=request.seed,
        consent=request.consent,
        device=request.device,
    )
    preview = settings.work_folder / "preview.png"
    if is_first_process():
        display.note(f"pictures of the growing actor: {preview}")
    with stop_on_signals() as should_stop, _shown(display) as show:
        try:
            published = train_actor(settings, show, should_stop)
        except TrainingStopped as stopped:
            how = Stopped if should_stop.by_system else Interrupted
            raise how("training stopped; the same command goes on where it was") from stopped
    return (published, preview) if is_first_process() else None


@contextmanager
def _shown(display: Display) -> Iterator[Callable[[JobProgress], None]]:
    """Gives the function that shows the job's progress: a bar for each phase, and its notes above."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[facts]}"))
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=display.err, disable=not display.err.is_terminal) as bars:

        def show(progress: JobProgress) -> None:
            if progress.phase not in tasks:
                for task in tasks.values():
                    bars.stop_task(task)
                tasks[progress.phase] = bars.add_task(progress.phase, total=None, facts="")
                if not display.err.is_terminal:
                    display.note(progress.phase)
            if progress.note:
                display.note(f"{progress.phase}: {progress.note}")
            total = None if progress.part is None else 1.0
            bars.update(tasks[progress.phase], completed=progress.part or 0.0, total=total, facts=_facts(progress))

        yield show


def _facts(progress: JobProgress) -> str:
    facts = [f"{progress.done}"] if progress.done else []
    if progress.pictures_per_second is not None:
        facts.append(f"{progress.pictures_per_second:.1f} pictures/s")
    if progress.seconds_left is not None:
        facts.append(f"{progress.seconds_left / 60:.1f} min left")
    facts += [f"{name} {value:.2f}" for name, value in list(progress.losses.items())[:3]]
    return ", ".join(facts)
