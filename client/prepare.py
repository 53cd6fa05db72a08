"""`dance prepare`: footage into what training reads, with a report on how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from client.display import Display
from client.errors import Interrupted
from client.jobs import FootageRequest, shown, training_extra
from serving.heap import give_freed_pictures_back


def prepare(
    request: FootageRequest, preset_name: str, work_root: Path, display: Display, *, anyway: bool
) -> dict[str, Any]:
    """The report's facts; what was prepared is in the work folder, where `dance train` finds it.

    Ctrl-C stops between two frames; the same command goes on. Raises CommandError without the training extra,
    Interrupted when stopped, and what `training.data.prepare.prepare` raises.
    """
    with training_extra():
        from training.presets import preset_named
        from training.progress import PhaseClock
        from training.recipe import prepared_for
        from training.stopping import stop_on_signals
        from training.worklock import locked
    give_freed_pictures_back()
    preset, footage = preset_named(preset_name), request.footage()
    clock = PhaseClock()
    with stop_on_signals() as should_stop, shown(display) as show, locked(work_root):

        def on_frame(what: str, done: int, of: int | None) -> None:
            show(clock.progress(what, done, of))
            if should_stop():
                raise Interrupted("preparing stopped; the same command goes on where it was")

        prepared = prepared_for(preset, footage, work_root / "footage", on_frame, anyway=anyway, say=display.note)
    return prepared.report
