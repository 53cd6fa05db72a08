"""`dance prepare` and `dance train`: run preparation or the whole training job, and show its progress."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from client.errors import CommandError, Interrupted, Stopped
from client.terminal.display import Display
from serving.process.entry import importing
from serving.process.memory import keep_large_blocks_apart

if TYPE_CHECKING:
    from serving.actors.store import Actor
    from training.options import FootageRequest, TrainRequest


@contextmanager
def training_extra() -> Iterator[None]:
    """Wrap imports of training, whose packages no other command needs. Raises CommandError if one is missing."""
    try:
        with importing():
            yield
    except ModuleNotFoundError as error:
        raise CommandError(f"training needs {error.name}: in a checkout, pip install -e '.[training,pose]'") from error


def prepare(
    request: FootageRequest, preset_name: str, work_root: Path, display: Display, *, anyway: bool
) -> dict[str, Any]:
    """Prepare footage in the work folder, where `dance train` finds it. Returns the facts of the report.

    Ctrl-C stops between two frames; the same command continues. Raises CommandError without the training extra,
    Interrupted when stopped, and what `training.preparation.prepare.prepare` raises.
    """
    with training_extra():
        from serving.process.stop_signals import stop_on_signals
        from training.preset_setup import prepared_for
        from training.presets import preset_named
        from training.process.work_folder import locked
        from training.reporting.progress import PhaseClock
        from training.reporting.progress_display import shown
        from training.settings import footage_of
    keep_large_blocks_apart()
    preset, footage = preset_named(preset_name), footage_of(request)
    clock = PhaseClock()
    with stop_on_signals() as should_stop, shown(display.err) as showing, locked(work_root):

        def on_frame(what: str, done: int, of: int | None) -> None:
            showing.progress(clock.progress(what, done, of))
            if should_stop():
                raise Interrupted("preparing stopped; the same command continues it")

        prepared = prepared_for(preset, footage, work_root / "footage", on_frame, anyway=anyway, say=display.note)
    return prepared.report


def train(request: TrainRequest, display: Display) -> tuple[Actor, Path] | None:
    """Train and publish an actor. Returns it, and a picture of its held-out frames next to the true ones.

    Ctrl-C and SIGTERM stop at a point from which the same command continues. If torchrun started several processes,
    only the first one prints; the others return None.

    Raises CommandError without the training extra, Interrupted or Stopped when stopped, and what `train_actor` raises.
    """
    with training_extra():
        # torch takes seconds to import, and few sub-commands need it.
        from serving.process.stop_signals import stop_on_signals
        from training.job import train_actor
        from training.loop.trainer import TrainingStopped
        from training.process.distributed import is_first_process
        from training.reporting.progress_display import shown
        from training.settings import JobSettings
    settings = JobSettings.of(request)
    preview = settings.work_folder / "preview.png"
    if is_first_process():
        display.note(f"pictures of the growing actor: {preview}")
    with stop_on_signals() as should_stop, shown(display.err) as showing:
        try:
            published = train_actor(settings, showing.progress, should_stop)
        except TrainingStopped as stopped:
            how = Stopped if should_stop.by_system else Interrupted
            raise how("training stopped; the same command continues it") from stopped
    return (published, preview) if is_first_process() else None
