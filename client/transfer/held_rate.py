"""Whether a live session holds its camera's rate, and what to tell the user if nothing steps down by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from client.transfer.job import TransferJob
from motion.frame import FrameSize
from motion.pose_choice import PoseDetail

_WINDOW_SECONDS: Final = 5.0
_LEAST_SHOWN: Final = 0.9
"""The share of the camera's frames below which a server with a choice steps down too."""


def costly_options(job: TransferJob, sizes: Sequence[FrameSize]) -> list[str]:
    """Return those of --detail and --size that demand more work than the session would need without them.

    sizes: at which the actor can be drawn.
    """
    costly = []
    has_choice = job.pose.backend is None or not job.pose.backend.finds_several  # those find everything at any detail
    least = PoseDetail.LIVE if job.estimator is not None else PoseDetail.BODY
    if job.detail not in (None, least, PoseDetail.BODY) and has_choice:
        costly.append("--detail")
    if job.size_px is not None and any(size.height_px < job.size_px for size in sizes):
        costly.append("--size")
    return costly


class HeldRate:
    """Watches the answers of a session that draws in one way only, and notes once that the rate is not held.

    costly: from `costly_options`.
    """

    def __init__(self, costly: Sequence[str]) -> None:
        self._advice = "use a camera with fewer frames per second, or a faster machine"
        if costly:
            self._advice = f"leave out {' and '.join(costly)}, so that a frame may take less work"
        self._told = False
        self._stream = -1
        self._first = 0
        self._began_s = 0.0
        self._shown = 0

    def see(self, sequence: int, time_s: float, *, dropped: bool, stream: int = 0) -> str | None:
        """Take an answer into account; return the note, at most once.

        sequence, time_s: of the frame in the source, where frames that were never sent count too. dropped: whether the
        server was too slow for it. stream: the number of the connection; what is lost with one does not count.
        """
        if self._told:
            return None
        if stream != self._stream:
            self._begin(sequence, time_s)
            self._stream = stream
            return None
        self._shown += not dropped
        if time_s - self._began_s < _WINDOW_SECONDS:
            return None
        frames, shown = sequence - self._first, self._shown
        self._begin(sequence, time_s)
        if shown >= _LEAST_SHOWN * frames:
            return None
        self._told = True
        return (
            f"frame {sequence}: the camera's rate cannot be held: {shown} of {frames} frames are shown; {self._advice}"
        )

    def _begin(self, sequence: int, time_s: float) -> None:
        self._first, self._began_s, self._shown = sequence, time_s, 0
