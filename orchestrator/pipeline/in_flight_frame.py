"""`InFlightFrame`: one frame on its way through the pipeline, with everything that the stages add to it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.face_region import FaceRegion
from motion.frame import EncodedPicture, FrameSize, NoPictureReason, Picture, RgbaPicture, StageTime
from motion.pose import Pose
from motion.retarget import Transform
from motion.wardrobe.choose import Choice
from orchestrator.session_config import Rung
from serving.observability import logs, metrics, tracing


class Remark(Enum):
    """Notes on how a picture was made; dance/v1/transfer.proto explains each."""

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
    REDUCED = "reduced"


@dataclass(frozen=True, slots=True)
class NoPicture:
    """The reason why a frame has no picture, with a detail for people to read."""

    reason: NoPictureReason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Recalled:
    """The generator's last picture, `[H, W, 3]` uint8 or None, and its time in the source."""

    picture: Picture | None = None
    drawn_at_s: float = 0.0


NOTHING_RECALLED: Final = Recalled()


@dataclass(slots=True, eq=False)
class InFlightFrame:
    """One frame in flight. Each stage fills in its own fields and reads those of earlier stages.

    time_s: the frame's time in the source. size: of the source frame; None until one is known. no_picture: set once it
    is certain that the frame gets no picture; later stages then pass the frame on.
    """

    sequence: int
    time_s: float
    size: FrameSize | None
    captured_at_s: float | None = None
    arrived_at_s: float = field(default_factory=time.perf_counter)
    rung: Rung | None = None
    """How it is drawn; None only outside of sessions."""
    picture: EncodedPicture | None = None
    """The client's own bytes, until pose has answered."""
    no_picture: NoPicture | None = None
    source_pose: Pose | None = None
    pose_state: bytes = b""
    """The state of the pose stage after this frame."""
    normalized_pose: Pose | None = None
    """In pixels of the actor's full frame."""
    transform: Transform | None = None
    label_map: Picture | None = None
    """`[H, W, 3]` uint8 RGB at the network's size. The generator discards it unless the client requested it."""
    reference: NDArray[np.uint8] | None = None
    """`[H, W, 4]` uint8, the actor's limbs in this pose: RGB times coverage, and coverage. None for actors without a
    wardrobe; discarded as the label map is."""
    face_region: FaceRegion | None = None
    face_label: Picture | None = None
    generated: Picture | None = None
    """The generator's picture before the face stage; also the previous picture for the next frame."""
    person: RgbaPicture | None = None
    """The generator's person alone, premultiplied, if the session composes its pictures; before the face stage."""
    refined_face: Picture | None = None
    output: EncodedPicture | None = None
    label_map_output: EncodedPicture | None = None
    reference_output: EncodedPicture | None = None
    normalize_state: bytes = b""
    """The state of the normalize stage after this frame."""
    limbs: Choice | None = None
    """The state of the reference stage after this frame: which key frames its limbs came from."""
    recalled: Recalled = NOTHING_RECALLED
    """The state of the generator stage after this frame."""
    checkpoint: bytes = b""
    remarks: list[Remark] = field(default_factory=list)
    times: list[StageTime] = field(default_factory=list)
    in_window: bool = False
    """Whether it holds one of the session's places for frames in flight."""
    trace: tracing.FrameTrace | None = None
    entered_at_s: float = 0.0
    waited_seconds: float = 0.0

    def enter(self, waited_seconds: float) -> None:
        """Note that a stage has taken this frame out of its link, after `waited_seconds` there."""
        self.waited_seconds = waited_seconds
        self.entered_at_s = time.perf_counter()
        logs.SEQUENCE.set(self.sequence)
        tracing.enter_frame(self.trace)

    def leave(self, stage: str, compute_seconds: float) -> None:
        """Note that `stage` has answered, and record its times here, in the metrics and in the trace."""
        total_seconds = time.perf_counter() - self.entered_at_s
        self.times.append(StageTime(stage, compute_seconds, self.waited_seconds, total_seconds))
        metrics.child(metrics.STAGE_DURATION, stage, "ok").observe(total_seconds)
        metrics.child(metrics.STAGE_COMPUTE, stage).observe(compute_seconds)
        metrics.child(metrics.STAGE_QUEUE, stage).observe(self.waited_seconds)
        if self.trace is not None:
            self.trace.stage(stage, self.entered_at_s, compute_seconds, self.waited_seconds)

    def retried(self) -> None:
        """Note that a stage failed on this frame and is called again."""
        if Remark.STAGE_RETRIED not in self.remarks:
            self.remarks.append(Remark.STAGE_RETRIED)

    def give_up(self) -> InFlightFrame:
        """Drop the frame from a LIVE session. Its place in the order, the reason and the client's pose remain."""
        if self.no_picture is None:
            self.no_picture = NoPicture(NoPictureReason.DROPPED)
        self.picture = None
        return self

    @property
    def dropped(self) -> bool:
        """Whether a LIVE session dropped this frame."""
        return self.no_picture is not None and self.no_picture.reason is NoPictureReason.DROPPED
