"""The report of a session: frames, remarks, and the times of every stage."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from rich.text import Text

from client.connection.types import Answer
from client.media.source import Source
from client.terminal.display import Display
from motion.frame import NoPictureReason, StageTime

_WHY: Final = {
    NoPictureReason.NO_PERSON: "no person",
    NoPictureReason.DROPPED: "dropped",
    NoPictureReason.BAD_FRAME: "bad frame",
    NoPictureReason.NOT_PLACED: "person without a place (head, hips and both ankles not seen together yet)",
}
_OUT_OF_STAGE: Final = "out of stage"
"""The name that the client's session gives FRAME_REMARK_OUT_OF_STAGE."""
_STAGE_ORDER: Final = ("pose", "normalize", "label_map", "reference", "generator", "face", "encode")


@dataclass(frozen=True, slots=True)
class StageRow:
    """One stage's times over a session, in milliseconds."""

    stage: str
    frames: int
    compute_p50_ms: float
    compute_p95_ms: float
    queue_p50_ms: float
    queue_p95_ms: float
    total_p50_ms: float


@dataclass(slots=True)
class TransferReport:
    """Counts of a session; `add` adds an answer.

    skipped: live frames that the client never sent. lost: frames that the source promises but that do not decode.
    reconnects: how often the server was lost and found again. lost_under_way: live frames that were sent and got no
    answer because the server was lost. drawn_at: pictures by rung, named by `client.transfer.rungs.rung_name`. notes:
    decisions about the source that its owner should know. sidecar: the file with the Content Credentials of one that
    cannot hold any; None if the file has them itself, or has none.
    """

    answered: int = 0
    pictures: int = 0
    skipped: int = 0
    lost: int = 0
    reconnects: int = 0
    lost_under_way: int = 0
    seconds: float = 0.0
    precision: str = ""
    without_picture: Counter[NoPictureReason] = field(default_factory=Counter)
    remarks: Counter[str] = field(default_factory=Counter)
    drawn_at: Counter[str] = field(default_factory=Counter)
    first_bad_frame: str = ""
    notes: tuple[str, ...] = ()
    sidecar: Path | None = None
    _times: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """Count one answer."""
        self.answered += 1
        if answer.no_picture is None:
            self.pictures += 1
        else:
            self.without_picture[answer.no_picture] += 1
            if answer.no_picture is NoPictureReason.BAD_FRAME and not self.first_bad_frame:
                self.first_bad_frame = f"frame {answer.sequence}: {answer.detail}"
        self.remarks.update(answer.remarks)
        for time in answer.stage_times:
            self.add_time(time)

    def add_time(self, time: StageTime) -> None:
        """Add the time that one stage spent on one frame: for stages that run here, which answers do not have."""
        row = (time.compute_seconds, time.queue_seconds, time.total_seconds)
        self._times.setdefault(time.stage, []).append(row)

    @property
    def frames_per_second(self) -> float:
        """Answers divided by the session's length."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0

    @property
    def why_no_picture(self) -> str:
        """Why not a single answer had a picture."""
        if self.answered == 0:
            return "it ended before the first picture"
        empty = self.without_picture[NoPictureReason.NO_PERSON]
        unplaced = self.without_picture[NoPictureReason.NOT_PLACED]
        if empty == self.answered:
            return f"no person was found in any of its {empty} frames"
        if unplaced:
            seen = f"a person is in {unplaced} of its {self.answered} frames"
            return (
                f"{seen}, but head, hips and both ankles are never seen together (--body provides the body's measures)"
            )
        return "no picture came"

    def stages(self) -> list[StageRow]:
        """A row for each stage that reported times, in the order of the pipeline."""
        order = {stage: place for place, stage in enumerate(_STAGE_ORDER)}
        rows = []
        for stage in sorted(self._times, key=lambda stage: (order.get(stage, len(order)), stage)):
            times_ms = np.array(self._times[stage]) * 1000
            median, high = np.percentile(times_ms, [50, 95], axis=0).tolist()
            rows.append(StageRow(stage, len(times_ms), median[0], high[0], median[1], high[1], median[2]))
        return rows


def lost_warning(source: Source, lost: int) -> str:
    """The warning about a source that lacks frames."""
    if source.is_keypoints:
        return f"{source.name}: {lost} frames have no poses; they count as frames without a person"
    return damaged(source.name, lost)


def damaged(name: str, lost: int) -> str:
    """The warning about a video that cannot be decoded completely."""
    return f"{name} is damaged or cut off: {lost} frames cannot be decoded"


def show_report(report: TransferReport, display: Display) -> None:
    """Show the table of stages, and what happened to the frames."""
    rows = [(row.stage, str(row.frames), *(f"{time:.1f}" for time in astuple(row)[2:])) for row in report.stages()]
    headings = ("stage", "frames", "compute p50", "compute p95", "queue p50", "queue p95", "stage p50")
    if rows:
        display.table(headings, rows, title="milliseconds per frame", names=1)
    display.out.print(Text(_summary(report)))
    if report.remarks:
        remarks = ", ".join(f"{name} {count}" for name, count in report.remarks.most_common())
        display.out.print(Text(f"remarks, in frames: {remarks}"))
    if len(report.drawn_at) > 1:
        rungs = "; ".join(f"{name}: {count}" for name, count in report.drawn_at.most_common())
        display.out.print(Text(f"pictures, by how they were drawn: {rungs}"))
    if report.remarks[_OUT_OF_STAGE]:
        cut = f"{report.remarks[_OUT_OF_STAGE]} of {report.answered} frames"
        display.out.print(
            Text(
                f"in {cut} part of the dancer is outside the actor's picture and not drawn: "
                "film the actor with raised and stretched arms, for a picture with more room"
            )
        )


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
