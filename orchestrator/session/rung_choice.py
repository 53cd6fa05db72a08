"""`RungChoice`: the rung of a session's next frame, and the changes of it, which are counted and logged."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from motion.frame import FrameSize
from orchestrator.pipeline.in_flight_frame import InFlightFrame, Remark
from orchestrator.rungs import relative_work
from orchestrator.session.ladder import Change, Ladder, Seen
from orchestrator.session.ready_sizes import ReadySizes
from orchestrator.session_config import Rung
from serving.errors import DanceError
from serving.observability import logs, metrics

_log = logging.getLogger(__name__)


class RungChoice:
    """Gives each frame its rung, and watches the answers if there are several rungs.

    in_flight: how many frames the session has in flight, which share the pipeline's time.
    """

    def __init__(self, rungs: Sequence[Rung], *, in_flight: int) -> None:
        self.rungs = tuple(rungs)
        self._in_flight = in_flight
        self._ladder = Ladder(relative_work(self.rungs))
        self._ladder.forbid(*(rung.index for rung in self.rungs if rung.size != self.first_size))

    @property
    def first_size(self) -> FrameSize:
        """The size that must be ready before the first frame."""
        return self.rungs[0].size

    def begin(self, frame: InFlightFrame) -> None:
        """Give a new frame its rung."""
        frame.rung = self.rungs[self._ladder.rung]

    def finish(self, frame: InFlightFrame) -> None:
        """Note a frame that is about to be answered: say on which rung it was drawn, and choose the next frames'."""
        assert frame.rung is not None
        if len(self.rungs) == 1:
            return
        if frame.no_picture is None:
            metrics.child(metrics.RUNG_PICTURES, frame.rung.detail.value, str(frame.rung.size.height_px)).inc()
            if frame.rung.index:
                frame.remarks.append(Remark.REDUCED)
        seen = Seen(frame.rung.index, frame.sequence, frame.time_s, self._busy_seconds(frame), frame.dropped)
        change = self._ladder.see(seen, time.perf_counter())
        if change is not None:
            self._record(change)

    async def prepare_others(self, sizes: ReadySizes) -> None:
        """Make the other rungs' sizes ready, one after another, and allow them.

        It belongs before the first frame: the work would make the first frames late, and the session step down. A size
        that cannot be drawn stays out, and the log says why.
        """
        for size in dict.fromkeys(rung.size for rung in self.rungs):
            if size == self.first_size:
                continue
            try:
                await sizes.prepare(size)
            except DanceError as error:
                _log.warning(
                    "smaller pictures cannot be drawn", extra=logs.facts(height_px=size.height_px, reason=str(error))
                )
                continue
            for rung in self.rungs:
                if rung.size == size:
                    self._ladder.allow(rung.index)

    def _busy_seconds(self, frame: InFlightFrame) -> float | None:
        """How long the pipeline needs for such a frame: its slowest stage, or all of them if few frames overlap."""
        if frame.no_picture is not None or not frame.times:
            return None
        seconds = [spent.total_seconds for spent in frame.times]
        return max(max(seconds), sum(seconds) / self._in_flight)

    def _record(self, change: Change) -> None:
        before, after = self.rungs[change.before], self.rungs[change.after]
        direction = "down" if change.after > change.before else "up"
        metrics.child(metrics.RUNG_CHANGES, direction).inc()
        _log.info(
            f"session steps {direction}",
            extra=logs.facts(
                detail=after.detail.value,
                height_px=after.size.height_px,
                detail_before=before.detail.value,
                height_before_px=before.size.height_px,
                load=round(change.load, 2),
                shown=round(change.shown, 2),
            ),
        )
