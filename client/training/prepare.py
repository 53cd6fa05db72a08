"""`dance prepare`: footage into what training reads, with a report on how good it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from client.errors import Interrupted
from client.terminal.display import Display
from client.training.train import training_extra
from serving.process.memory import keep_large_blocks_apart
from training.options import FootageRequest


def prepare(
    request: FootageRequest, preset_name: str, work_root: Path, display: Display, *, anyway: bool
) -> dict[str, Any]:
    """The report's facts; what was prepared is in the work folder, where `dance train` finds it.

    Ctrl-C stops between two frames; the same command goes on. Raises CommandError without the training extra,
    Interrupted when stopped, and what `training.preparation.prepare.prepare` raises.
    """
    with training_extra():
        from training.preset_setup import prepared_for
        from training.presets import preset_named
        from training.process.stop_signals import stop_on_signals
        from training.process.work_folder import locked
        from training.reporting.progress import PhaseClock
        from training.reporting.progress_display import shown
        from training.request import footage_of
    keep_large_blocks_apart()
    preset, footage = preset_named(preset_name), footage_of(request)
    clock = PhaseClock()
    with stop_on_signals() as should_stop, shown(display.err) as showing, locked(work_root):

        def on_frame(what: str, done: int, of: int | None) -> None:
            showing.progress(clock.progress(what, done, of))
            if should_stop():
                raise Interrupted("preparing stopped; the same command goes on where it was")

        prepared = prepared_for(preset, footage, work_root / "footage", on_frame, anyway=anyway, say=display.note)
    return prepared.report
