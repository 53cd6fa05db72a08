"""Settings of the pose service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from motion.people.person_tracking import TrackingRules
from motion.pose_choice import PoseBackend
from services.pose.estimator import PoseRules
from serving.pictures.codec import PictureLimits
from serving.process.settings import AtLeastOne, Positive, one_of
from serving.rpc.server import ServerSettings


@dataclass(frozen=True, kw_only=True)
class PoseSettings(ServerSettings):
    """Settings of the pose service, read once from `POSE_*` at start."""

    max_connection_age_seconds: float = 300.0
    """See [Every server](#every-server): the orchestrators find new replicas of this service within that time."""
    max_streams: AtLeastOne = 32
    """Maximum number of open streams; more are rejected. All share the networks and the threads, and take about 1 MiB
    each. How many a replica can keep up with depends on its cores: [sizing](sizing.md)."""
    max_solution_streams: AtLeastOne = 4
    """How many of them may use the backend mediapipe-solution. Each takes 210 MiB, or 310 MiB with detail LIVE."""
    max_frames_waiting: AtLeastOne = 2
    """Decoded frames that a stream holds before its sender must wait."""
    idle_seconds: Positive = 300.0
    """A stream that sends nothing for this long is ended."""
    estimating_threads: int = 0
    """Threads that estimate poses, shared by all streams, and pictures that a network of mediapipe runs on at a time; 0
    for one on each core of this process. Streams of mediapipe-solution have a thread of their own."""
    decoding_threads: AtLeastOne = 2
    """Threads that decode pictures, shared by all streams."""
    max_side_px: AtLeastOne = 4096
    """Maximum length of a picture's longer side."""
    min_detection_confidence: float = 0.7
    """Confidence of MediaPipe's detector at which it starts tracking a person; at 0.5 it takes furniture for people."""
    min_tracking_confidence: float = 0.5
    """Confidence below which MediaPipe stops tracking and detects again."""
    min_height_fraction: float = 0.25
    """People smaller than this fraction of the frame's height are not reported."""
    min_visibility: float = 0.3
    """Body joints less visible than this are unseen."""
    face_and_hands_every_n: int = 3
    """Default for streams with detail LIVE whose config does not set it."""
    backend: Annotated[str, one_of(*(backend.value for backend in PoseBackend))] = "mediapipe"
    """Backend of streams that do not name one: mediapipe, mediapipe-solution (which needs MediaPipe's wheel), openpose
    or rtmpose (which need a card)."""
    openpose_card: Path | None = None
    """The model card of the backend openpose; without one it is not served."""
    rtmpose_card: Path | None = None
    """The model card of the backend rtmpose; without one it is not served."""
    model_cache: Path | None = None
    """Folder for networks that a card names by address; default: below .cache in the home folder."""
    network_threads: AtLeastOne = 2
    """Threads of a network of openpose or rtmpose."""
    remember_seconds: float = 3.0
    """For backends that find several people: how long a person out of sight keeps their id. A dancer lost for longer is
    given up, and another one is chosen."""
    stuck_seconds: Positive = 30.0
    """The process is NOT_SERVING while an estimator takes longer than this for one picture."""
    watch_seconds: Positive = 1.0
    """How often the estimators are checked."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cards().get(PoseBackend(self.backend), self) is None:
            raise ValueError(f"backend {self.backend} needs {self.backend}_card, the model card of its network")
        if self.estimating_threads < 0:
            raise ValueError(f"estimating_threads cannot be negative, got {self.estimating_threads}")
        self.rules()
        self.tracking_rules()

    def cards(self) -> dict[PoseBackend, Path | None]:
        """Return the model card of each backend that needs one."""
        return {PoseBackend.OPENPOSE: self.openpose_card, PoseBackend.RTMPOSE: self.rtmpose_card}

    def tracking_rules(self) -> TrackingRules:
        """Return the tracking rules. Raises ValueError for values out of range."""
        return TrackingRules(remember_seconds=self.remember_seconds)

    def rules(self, face_and_hands_every_n: int = 0) -> PoseRules:
        """Return the estimator's rules; 0 takes the setting's `face_and_hands_every_n`. Raises ValueError."""
        return PoseRules(
            min_detection_confidence=self.min_detection_confidence,
            min_tracking_confidence=self.min_tracking_confidence,
            min_height_fraction=self.min_height_fraction,
            min_visibility=self.min_visibility,
            face_and_hands_every_n=face_and_hands_every_n or self.face_and_hands_every_n,
        )

    def limits(self) -> PictureLimits:
        """Return the limits of a picture's size."""
        return PictureLimits(max_side_px=self.max_side_px)
