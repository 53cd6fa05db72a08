"""`dance train`: runs the training job, and shows how far it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from client.errors import CommandError, Interrupted, Stopped
from client.terminal.display import Display
from serving.process.entry import importing

if TYPE_CHECKING:
    from serving.actors.store import Actor
    from training.options import TrainRequest


@contextmanager
def training_extra() -> Iterator[None]:
    """Around imports of training, which needs packages that no other command does. Raises CommandError."""
    try:
        with importing():
            yield
    except ModuleNotFoundError as error:
        raise CommandError(f"training needs {error.name}: in a checkout, pip install -e '.[training,pose]'") from error


def train(request: TrainRequest, display: Display) -> tuple[Actor, Path] | None:
    """The trained and published actor, and a picture of its held-out frames beside the true ones.

    Ctrl-C and SIGTERM stop at a point from which the same command goes on. Where torchrun started several processes,
    the first one speaks, and the others give None.

    Raises CommandError without the training extra, Interrupted or Stopped when stopped, and what `train_actor` raises.
    """
    with training_extra():
        # torch takes seconds to import, and is needed by few sub-commands.
        from training.job import train_actor
        from training.loop.trainer import TrainingStopped
        from training.process.distributed import is_first_process
        from training.process.stop_signals import stop_on_signals
        from training.reporting.progress_display import shown
        from training.request import settings_for
    settings = settings_for(request)
    preview = settings.work_folder / "preview.png"
    if is_first_process():
        display.note(f"pictures of the growing actor: {preview}")
    with stop_on_signals() as should_stop, shown(display.err) as showing:
        try:
            published = train_actor(settings, showing.progress, should_stop)
        except TrainingStopped as stopped:
            how = Stopped if should_stop.by_system else Interrupted
            raise how("training stopped; the same command goes on where it was") from stopped
    return (published, preview) if is_first_process() else None
