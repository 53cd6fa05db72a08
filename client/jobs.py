"""What the commands that train, prepare and evaluate share: footage, progress, and the extra that they need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from client.display import Display
from client.errors import CommandError
from serving.errors import BadInput

if TYPE_CHECKING:
    from training.data.footage import Footage
    from training.job import Progress as JobProgress


@dataclass(frozen=True, kw_only=True, slots=True)
class FootageRequest:
    """Which footage; see `training.data.footage.Footage`."""

    files: tuple[Path, ...]
    keypoints: tuple[Path, ...] = ()
    most_frames_per_second: float | None = None

    def footage(self) -> Footage:
        """Raises BadInput for what does not belong together, CommandError without the training extra."""
        with training_extra():
            from training.data.footage import Footage
        for folder in self.keypoints:
            if not folder.is_dir():
                raise BadInput("--keypoints", f"{folder} is no folder")
        return Footage(files=self.files, keypoints=self.keypoints, most_frames_per_second=self.most_frames_per_second)


@contextmanager
def training_extra() -> Iterator[None]:
    """Around imports of training, which needs packages that no other command does."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(f"training needs {error.name}: pip install 'everybody-dance[training,pose]'") from error


@contextmanager
def shown(display: Display) -> Iterator[Callable[[JobProgress], None]]:
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
