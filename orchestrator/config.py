"""What a session is told at its start, in our own types, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from motion.body import BodyStats
from motion.frame import FrameSize, PictureEncoding
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail


class TransferMode(Enum):
    """What may happen to frames when the chain is slower than the source."""

    LOSSLESS = "lossless"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How answers are encoded. full_frame: at the size of the actor's footage, on the plate."""

    encoding: PictureEncoding = PictureEncoding.JPEG
    jpeg_quality: int = 90
    full_frame: bool = False


@dataclass(frozen=True, slots=True)
class ReturnOptions:
    """What is returned beside the picture."""

    source_pose: bool = False
    normalized_pose: bool = False
    stage_times: bool = False
    label_map: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseConfig:
    """How the source is looked at, and who of several people is the dancer.

    face_and_hands_every_n: for detail LIVE; 0 leaves it to the pose service.
    """

    detail: PoseDetail = PoseDetail.HOLISTIC
    face_and_hands_every_n: int = 0
    backend: PoseBackend = PoseBackend.MEDIAPIPE
    dancer: DancerChoice = field(default_factory=DancerChoice)

    @property
    def asks_for_more(self) -> bool:
        """Whether it is not what every pose service serves, so that the service has to be asked first."""
        return self.backend is not PoseBackend.MEDIAPIPE or self.dancer != DancerChoice()


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionConfig:
    """One session, as `TransferConfig` in dance/v1/transfer.proto says; every field is served.

    actor_version: 0 is one that is served, see `serving.actors.rollout`. source_body: None means a running calibration.
    frame_rate_hz: 0 when unknown. checkpoint_every_frames: 0 for none. checkpoint: of an earlier session, to go on
    from; empty for none.
    """

    actor: str
    actor_version: int = 0
    mode: TransferMode = TransferMode.LOSSLESS
    output: OutputFormat = field(default_factory=OutputFormat)
    source_body: BodyStats | None = None
    look_ahead_frames: int = 0
    returns: ReturnOptions = field(default_factory=ReturnOptions)
    pose: PoseConfig = field(default_factory=PoseConfig)
    frame_rate_hz: float = 0.0
    checkpoint_every_frames: int = 0
    checkpoint: bytes = b""

    @property
    def live(self) -> bool:
        """Whether frames may be dropped."""
        return self.mode is TransferMode.LIVE


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionAccepted:
    """What a client is told before the first answer. config: as it will be honoured."""

    config: SessionConfig
    max_frames_in_flight: int
    max_frame_side_px: int
    max_frame_bytes: int
    stage_size: FrameSize
    full_frame_size: FrameSize
    generator_precision: str
