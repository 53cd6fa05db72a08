"""`Passage`: one frame on its way through the chain, and what is said about it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum

from motion.face_region import FaceRegion
from motion.frame import EncodedPicture, FrameSize, NoPictureReason, Picture, StageTime
from motion.pose import Pose
from motion.retarget import Transform
from orchestrator.stages.previous_picture import NOTHING_RECALLED, Recalled
from serving.observability import logs, metrics, tracing


class Remark(Enum):
    """Things worth knowing about how a picture came about; dance/v1/transfer.proto explains each."""

    CALIBRATING = "calibrating"
    EXTRAPOLATED = "extrapolated"
    LIMITED = "limited"
    ON_THE_SPOT = "on_the_spot"
    TRANSFORM_KEPT = "transform_kept"
    JOINTS_HELD = "joints_held"
    NO_FACE = "no_face"
    RESTARTED = "restarted"
    OUT_OF_STAGE = "out_of_stage"
    FACE_AND_HANDS_CARRIED = "face_and_hands_carried"
    AIRBORNE = "airborne"
    STAGE_RETRIED = "stage_retried"
    DANCER_LOST = "dancer_lost"
    DANCER_CHANGED = "dancer_changed"


@dataclass(frozen=True, slots=True)
class NoPicture:
    """The reason why a frame has no picture, and more about it for a person to read."""

    reason: NoPictureReason
    detail: str = ""


@dataclass(slots=True, eq=False)
class Passage:
    """One frame's way through the chain. Each stage reads what earlier ones wrote and adds its own.

    sequence: the client's number. size: of the source's frame; None only for a bad frame before any good one.
    time_s: on the source's clock. arrived_at_s: on this process's clock (`time.perf_counter`).
    no_picture: set as soon as it is known that there will be none; later stages then let the frame pass.
    """

    sequence: int
    time_s: float
    size: FrameSize | None
    captured_at_s: float | None = None
    arrived_at_s: float = field(default_factory=time.perf_counter)
    picture: EncodedPicture | None = None
    """The client's own bytes, until pose has answered."""
    pose_given: bool = False
    """The client sent `source_pose` (or that there is nobody) in place of a picture."""
    no_picture: NoPicture | None = None
    source_pose: Pose | None = None
    dancer_at: tuple[float, float] | None = None
    """Where the pose stage last saw the dancer, as fractions of the frame."""
    normalized_pose: Pose | None = None
    """In pixels of the actor's full frame."""
    transform: Transform | None = None
    label_map: Picture | None = None
    """`[H, W, 3]` uint8 RGB of the network's size; behind the generator only where the client gets it."""
    face_region: FaceRegion | None = None
    face_label: Picture | None = None
    generated: Picture | None = None
    """As the generator drew it: also what the generator sees as the previous picture of the next frame."""
    refined_face: Picture | None = None
    output: EncodedPicture | None = None
    label_map_output: EncodedPicture | None = None
    normalize_state: bytes = b""
    """Of the normalize stage, behind this frame."""
    recalled: Recalled = NOTHING_RECALLED
    """Of the generator stage, behind this frame."""
    checkpoint: bytes = b""
    remarks: list[Remark] = field(default_factory=list)
    times: list[StageTime] = field(default_factory=list)
    in_window: bool = False
    """It holds one of the session's places for frames in flight."""
    trace: tracing.FrameTrace | None = None
    asked_at_s: float = 0.0
    waited_seconds: float = 0.0

    def enter(self, waited_seconds: float) -> None:
        """A stage took this frame out of its link, in which it lay for so long."""
        self.waited_seconds = waited_seconds
        self.asked_at_s = time.perf_counter()
        logs.SEQUENCE.set(self.sequence)
        tracing.enter_frame(self.trace)

    def leave(self, stage: str, compute_seconds: float) -> None:
        """The stage has answered: notes its times, here and in the metrics."""
        total_seconds = time.perf_counter() - self.asked_at_s
        self.times.append(StageTime(stage, compute_seconds, self.waited_seconds, total_seconds))
        duration, compute, queue = metrics.stage_answers(stage)
        duration.observe(total_seconds)
        compute.observe(compute_seconds)
        queue.observe(self.waited_seconds)
        if self.trace is not None:
            self.trace.stage(stage, self.asked_at_s, compute_seconds, self.waited_seconds)

    def retried(self) -> None:
        """A stage that failed with this frame is asked again."""
        if Remark.STAGE_RETRIED not in self.remarks:
            self.remarks.append(Remark.STAGE_RETRIED)

    def give_up(self) -> Passage:
        """What stays of a frame that a LIVE session is too slow for: its place in the order, and the reason."""
        if self.no_picture is None:
            self.no_picture = NoPicture(NoPictureReason.DROPPED)
        self.picture = self.source_pose = None
        return self

    @property
    def dropped(self) -> bool:
        """Whether a LIVE session was too slow for this frame."""
        return self.no_picture is not None and self.no_picture.reason is NoPictureReason.DROPPED
