"""What the pose service can be told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from motion.people.person_tracking import FollowRules
from motion.pose_choice import PoseBackend
from services.pose.estimator import PoseRules
from serving.pictures.codec import PictureLimits
from serving.rpc.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class PoseSettings(ServerSettings):
    """Read once, from `POSE_*`, at start."""

    max_connection_age_seconds: float = 300.0
    """See `ServerSettings`: the orchestrators find new replicas of this service within that time."""
    max_streams: int = 8
    """Open streams; each has a tracker of its own, about 46 ms of CPU a frame. More are refused."""
    max_frames_waiting: int = 2
    """Decoded frames that a stream holds before its sender must wait."""
    idle_seconds: float = 300.0
    """A stream that sends nothing for so long is ended."""
    decoding_threads: int = 2
    """Threads that decode pictures, for all streams together."""
    max_side_px: int = 4096
    """The longest side of a picture that is accepted."""
    min_detection_confidence: float = 0.7
    """How sure MediaPipe's detector must be to begin following a person; at 0.5 it takes furniture for people."""
    min_tracking_confidence: float = 0.5
    """How sure MediaPipe must stay to go on following."""
    min_height_fraction: float = 0.25
    """People smaller than this fraction of the frame's height are not reported."""
    min_visibility: float = 0.3
    """Body joints less visible than this are unseen."""
    face_and_hands_every_n: int = 3
    """For detail LIVE, where the config does not say."""
    backend: str = "mediapipe"
    """Serves streams that name no backend: mediapipe, openpose or rtmpose."""
    openpose_card: Path | None = None
    """The model card of the backend openpose; without one it is not served."""
    rtmpose_card: Path | None = None
    """The model card of the backend rtmpose; without one it is not served."""
    model_cache: Path | None = None
    """Where networks that a card names by their address are kept; default: below .cache in the home folder."""
    network_threads: int = 2
    """Threads of a network of openpose or rtmpose."""
    remember_seconds: float = 3.0
    """Backends that find several people: how long somebody out of sight stays who they are. A dancer lost for longer is
    given up, and chosen anew."""
    stuck_seconds: float = 30.0
    """A picture that an estimator looks at for longer than this makes the process NOT_SERVING."""
    watch_seconds: float = 1.0
    """How often the estimators are looked after."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("max_streams", "max_frames_waiting", "decoding_threads", "max_side_px", "network_threads"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("idle_seconds", "stuck_seconds", "watch_seconds"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, got {getattr(self, name)}")
        if self.backend not in {backend.value for backend in PoseBackend}:
            raise ValueError(f"backend must be mediapipe, openpose or rtmpose, got {self.backend!r}")
        if self.cards().get(self.default_backend, self) is None:
            raise ValueError(f"backend {self.backend} needs {self.backend}_card, the model card of its network")
        self.rules()
        self.follow_rules()

    @property
    def default_backend(self) -> PoseBackend:
        """Of streams that name none."""
        return PoseBackend(self.backend)

    def cards(self) -> dict[PoseBackend, Path | None]:
        """The model card of each backend that needs one."""
        return {PoseBackend.OPENPOSE: self.openpose_card, PoseBackend.RTMPOSE: self.rtmpose_card}

    def follow_rules(self) -> FollowRules:
        """How people are told apart. Raises ValueError for nonsense."""
        return FollowRules(remember_seconds=self.remember_seconds)

    def rules(self, face_and_hands_every_n: int = 0) -> PoseRules:
        """The estimator's rules; `face_and_hands_every_n` of 0 takes the setting's. Raises ValueError for nonsense."""
        return PoseRules(
            min_detection_confidence=self.min_detection_confidence,
            min_tracking_confidence=self.min_tracking_confidence,
            min_height_fraction=self.min_height_fraction,
            min_visibility=self.min_visibility,
            face_and_hands_every_n=face_and_hands_every_n or self.face_and_hands_every_n,
        )

    def limits(self) -> PictureLimits:
        """What a picture may measure."""
        return PictureLimits(max_side_px=self.max_side_px)
