"""What happened in a session: frames, remarks, and the times of every stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from client.connection.types import Answer
from motion.frame import NoPictureReason

_STAGE_ORDER: Final = ("pose", "normalize", "label_map", "generator", "face", "encode")


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
    """Counts of a session, which grow with `add`.

    skipped: live frames that the client never sent. lost: frames that the source promises and that do not decode.
    reconnects: how often the server was gone and found again. lost_under_way: live frames that were sent and got no
    answer, because the server was gone. notes: what was decided about the source that its owner should know.
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
    first_bad_frame: str = ""
    notes: tuple[str, ...] = ()
    _times: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    def add(self, answer: Answer) -> None:
        """One answer more."""
        self.answered += 1
        if answer.no_picture is None:
            self.pictures += 1
        else:
            self.without_picture[answer.no_picture] += 1
            if answer.no_picture is NoPictureReason.BAD_FRAME and not self.first_bad_frame:
                self.first_bad_frame = f"frame {answer.sequence}: {answer.detail}"
        self.remarks.update(answer.remarks)
        for time in answer.stage_times:
            row = (time.compute_seconds, time.queue_seconds, time.total_seconds)
            self._times.setdefault(time.stage, []).append(row)

    @property
    def frames_per_second(self) -> float:
        """Answers over the session's length."""
        return self.answered / self.seconds if self.seconds > 0 else 0.0

    @property
    def why_no_picture(self) -> str:
        """Why no answer at all had a picture."""
        nobody = self.without_picture[NoPictureReason.NO_PERSON]
        unplaced = self.without_picture[NoPictureReason.NOT_PLACED]
        if nobody == self.answered:
            return f"nobody was found in any of its {nobody} frames"
        if unplaced:
            seen = f"somebody is in {unplaced} of its {self.answered} frames"
            return f"{seen}, but head, hips and both ankles are never seen together (--body gives the body's measures)"
        return "no picture came"

    def stages(self) -> list[StageRow]:
        """A row for each stage that reported times, in the order of the chain."""
        order = {stage: place for place, stage in enumerate(_STAGE_ORDER)}
        stages = sorted(self._times, key=lambda stage: (order.get(stage, len(order)), stage))
        return [_row(stage, self._times[stage]) for stage in stages]


def _row(stage: str, times: Sequence[tuple[float, float, float]]) -> StageRow:
    median, high = np.percentile(np.array(times) * 1000, [50, 95], axis=0)
    return StageRow(
        stage, len(times), float(median[0]), float(high[0]), float(median[1]), float(high[1]), float(median[2])
    )
