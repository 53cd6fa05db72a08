"""The config of a session, in our own types and validated."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from motion.body import BodyStats
from motion.crop import Crop
from motion.frame import FrameSize, PictureEncoding
from motion.people.dancer_choice import DancerChoice
from motion.pose_choice import PoseBackend, PoseDetail
from serving.pictures.background import Background


class TransferMode(Enum):
    """Whether frames may be dropped when the pipeline is slower than the source."""

    LOSSLESS = "lossless"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How answers are encoded. full_frame: the whole frame of the actor's footage, at its size."""

    encoding: PictureEncoding = PictureEncoding.JPEG
    jpeg_quality: int = 90
    full_frame: bool = False


@dataclass(frozen=True, slots=True)
class ReturnOptions:
    """What is returned in addition to the picture."""

    source_pose: bool = False
    normalized_pose: bool = False
    stage_times: bool = False
    label_map: bool = False
    reference: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseConfig:
    """How poses are estimated, and which of several people is the dancer.

    face_and_hands_every_n: for detail LIVE; 0 means the pose service's default.
    """

    detail: PoseDetail = PoseDetail.HOLISTIC
    face_and_hands_every_n: int = 0
    backend: PoseBackend = PoseBackend.MEDIAPIPE
    dancer: DancerChoice = field(default_factory=DancerChoice)

    @property
    def asks_for_more(self) -> bool:
        """Whether it needs a backend or a dancer rule that not every pose service has."""
        return self.backend is not PoseBackend.MEDIAPIPE or self.dancer != DancerChoice()


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionConfig:
    """The config of one session; dance/v1/transfer.proto, `TransferConfig`, explains each field.

    actor_version: 0 chooses a served version, see `serving.actors.rollout`. picture_size: None for the actor's own, or
    for any if the session is adaptive. adaptive: whether the server chooses among picture sizes and, unless
    pose_detail_is_fixed, among pose details. source_body: None means a running
    calibration. frame_rate_hz: 0 if unknown. checkpoint_every_frames: 0 for none. checkpoint: of an earlier session to
    resume; empty for none. label: burned into every picture; empty for none.
    """

    actor: str
    actor_version: int = 0
    mode: TransferMode = TransferMode.LOSSLESS
    output: OutputFormat = field(default_factory=OutputFormat)
    source_body: BodyStats | None = None
    look_ahead_frames: int = 0
    returns: ReturnOptions = field(default_factory=ReturnOptions)
    pose: PoseConfig = field(default_factory=PoseConfig)
    background: Background = field(default_factory=Background)
    frame_rate_hz: float = 0.0
    checkpoint_every_frames: int = 0
    checkpoint: bytes = b""
    picture_size: FrameSize | None = None
    adaptive: bool = False
    pose_detail_is_fixed: bool = True
    label: str = ""

    @property
    def live(self) -> bool:
        """Whether frames may be dropped."""
        return self.mode is TransferMode.LIVE


@dataclass(frozen=True, slots=True)
class Rung:
    """How a frame is drawn. index: among the session's rungs. crop: the actor's crop, at the size of the picture.

    face_and_hands_every_n: for detail LIVE; 0 means the pose service's default.
    """

    index: int
    detail: PoseDetail
    face_and_hands_every_n: int
    crop: Crop

    @property
    def size(self) -> FrameSize:
        """The size of the picture."""
        return FrameSize(self.crop.out_width_px, self.crop.out_height_px)


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionAccepted:
    """What the client receives before the first answer. config: as it will be honoured. rungs: the best first.

    watermark_key_id: of the server; None if it adds no watermark. consent_sha256: of the actor's consent record.
    """

    config: SessionConfig
    max_frames_in_flight: int
    max_frame_side_px: int
    max_frame_bytes: int
    crop_size: FrameSize
    full_frame_size: FrameSize
    generator_precision: str
    rungs: tuple[Rung, ...]
    watermark_key_id: int | None = None
    consent_sha256: str = ""
