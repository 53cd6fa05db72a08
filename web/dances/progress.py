"""How far a dance is: counts, rate and time left, and the newest frame for a preview. In memory only."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from motion.frame import EncodedPicture, NoPictureReason
from motion.pose import Pose
from web.live.messages import pose_bytes, with_head

_RATE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """The newest frame. sequence: of the source. source: as it was sent, a JPEG. The others are None before answers."""

    sequence: int
    source: EncodedPicture
    pose: Pose | None = None
    picture: EncodedPicture | None = None
    no_picture: NoPictureReason | None = None

    def message(self, number: int, state: str) -> bytes:
        """Return it as `web.dances.routes` describes the preview."""
        head = {
            "number": number,
            "sequence": self.sequence,
            "width_px": self.source.width_px,
            "height_px": self.source.height_px,
            "no_picture": "" if self.no_picture is None else self.no_picture.value,
            "state": state,
        }
        return with_head(
            head,
            source=self.source.data,
            pose=b"" if self.pose is None else pose_bytes(self.pose),
            picture=b"" if self.picture is None else self.picture.data,
        )


@dataclass(slots=True, eq=False)
class Progress:
    """Counts frames of the pass that runs; the runner writes, requests read. clock: monotonic, in seconds.

    of: how many frames there are; None while unknown. measures: whether the pass is the one that measures the body,
    which counts in `measured`; the others count in `done`. lost_server: why the work stands still, in one word; "" if
    it does not.
    """

    measured: int = 0
    done: int = 0
    of: int | None = None
    pictures: int = 0
    remarks: Counter[str] = field(default_factory=Counter)
    measures: bool = False
    lost_server: str = ""
    preview: Preview | None = None
    number: int = -1
    clock: Callable[[], float] = time.monotonic
    _times_s: deque[float] = field(default_factory=deque)

    def begin(self, done: int = 0, *, measures: bool = False) -> None:
        """Begin a pass over the frames, of which `done` are done already."""
        self.measures = measures
        self.measured, self.done = (done, 0) if measures else (self.measured, done)
        self.lost_server = ""
        self._times_s.clear()

    def begin_dance(self) -> None:
        """Forget what was counted: the dance begins at its first frame."""
        self.begin()
        self.pictures = 0
        self.remarks.clear()

    def restore(self, frames: int, pictures: int, remarks: Mapping[str, int]) -> None:
        """Take the counts of a dance that was done by an earlier process."""
        self.measured = self.done = self.of = frames
        self.pictures = pictures
        self.remarks.update(remarks)

    def stand_still(self, lost_server: str) -> None:
        """Say why the work waits for the server, in one word; "" if it goes on."""
        self.lost_server = lost_server

    def show(self, preview: Preview) -> None:
        """Make this the newest frame."""
        self.preview = preview
        self.number += 1

    def count(self) -> None:
        """Count one more frame."""
        self.measured += self.measures
        self.done += not self.measures
        now_s = self.clock()
        self._times_s.append(now_s)
        while now_s - self._times_s[0] > _RATE_SECONDS:
            self._times_s.popleft()

    def answered(self, no_picture: NoPictureReason | None, remarks: tuple[str, ...]) -> None:
        """Count what the answer to a frame says."""
        self.pictures += no_picture is None
        self.remarks.update(remarks if no_picture is None else (no_picture.value, *remarks))

    @property
    def rate_hz(self) -> float | None:
        """Frames a second in the last five seconds; None while there are too few."""
        if len(self._times_s) < 2:
            return None
        seconds = max(self._times_s[-1], self.clock()) - self._times_s[0]
        return (len(self._times_s) - 1) / seconds if seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """The time for the remaining frames of this pass at that rate; None while unknown."""
        rate_hz = self.rate_hz
        if self.of is None or rate_hz is None or self.lost_server:
            return None
        return max(0, self.of - (self.measured if self.measures else self.done)) / rate_hz
