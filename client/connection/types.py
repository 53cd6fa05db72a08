"""The data exchanged between client and server, in our own types; `session.py` converts them to messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from motion.body import BodyStats
from motion.frame import EncodedPicture, Frame, FrameSize, NoPictureReason, StageTime
from motion.people.dancer_choice import DancerChoice
from motion.pose import Pose
from motion.pose_choice import PoseBackend, PoseDetail
from serving.actors.shown_records import ListedConsent
from serving.pictures.background import Background


@dataclass(frozen=True, slots=True)
class ListedWardrobe:
    """What an actor's wardrobe shows. facings: of "front", "left", "right" and "back"."""

    key_frames: int
    facings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ActorPreview:
    """A short moving picture of an actor, which repeats. media_type: of `data`."""

    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True)
class ActorListing:
    """One version of an actor, as the server lists it. unavailable: why it cannot be served, or empty.

    served_percent: its share of the sessions that name no version; 0 also if the server does not report it. size_bytes:
    of all its files; 0 if unknown. wardrobe: None for an actor without one. bare_warp: whether it is not trained yet.
    smaller_sizes: at which it can be drawn as well. consent: the person's, as a text. trained_at_s: seconds since 1970;
    None if unknown. scores: by name, as actor.proto explains them; empty if unknown. preview: if it was requested
    and the answer had room for it; if `has_preview` says that there is one, request it alone. consent_record: None if
    no consent is stated, or the server is an earlier one. Earlier servers do not send the fields from `consent` on.
    """

    actor: str
    version: int
    stage_size: FrameSize | None
    full_frame_size: FrameSize | None
    preset: str
    label_map_version: int
    unavailable: str
    served_percent: float = 0.0
    size_bytes: int = 0
    wardrobe: ListedWardrobe | None = None
    bare_warp: bool = False
    smaller_sizes: tuple[FrameSize, ...] = ()
    consent: str = ""
    trained_at_s: float | None = None
    scores: dict[str, float] = field(default_factory=dict)
    has_preview: bool = False
    preview: ActorPreview | None = None
    consent_record: ListedConsent | None = None


@dataclass(frozen=True, slots=True)
class ServerListing:
    """What a server lists: its actors, sorted by id, newest version first.

    watermark_key_ids: of its keys, the present one first; empty without one, without a watermark, and from earlier
    servers.
    """

    actors: list[ActorListing]
    watermark_key_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class BodyFit:
    """The body stats of a whole clip, and the number of frames they are based on."""

    body: BodyStats
    frames: int
    frames_with_person: int
    on_the_spot: bool


@dataclass(frozen=True, slots=True, eq=False)
class PosedFrame:
    """A frame with a known pose, sent in place of a picture. pose: None if the frame has no dancer.

    face_and_hands_carried, dancer_lost, dancer_changed: what the estimator noted; the answer repeats it as a remark.
    """

    sequence: int
    pose: Pose | None
    size: FrameSize
    captured_at_s: float | None = None
    face_and_hands_carried: bool = False
    dancer_lost: bool = False
    dancer_changed: bool = False


SentFrame = Frame | PosedFrame
"""The frames that a session accepts."""


@dataclass(frozen=True, slots=True)
class PoseChoice:
    """Which network finds the joints, None for the server's default, and which person is the dancer."""

    backend: PoseBackend | None = None
    dancer: DancerChoice = field(default_factory=DancerChoice)


@dataclass(frozen=True, kw_only=True, slots=True)
class TransferOptions:
    """The config of a session; transfer.proto explains each field.

    detail: None leaves it to the server, which may change it if the session is adaptive. picture_size: None for the
    actor's own, or for any if the session is adaptive.
    """

    actor: str
    actor_version: int = 0
    live: bool = False
    full_frame: bool = False
    jpeg_quality: int = 95
    source_body: BodyStats | None = None
    look_ahead_frames: int = 0
    detail: PoseDetail | None = PoseDetail.HOLISTIC
    picture_size: FrameSize | None = None
    adaptive: bool = False
    pose: PoseChoice = field(default_factory=PoseChoice)
    frame_rate_hz: float = 0.0
    label_maps: bool = False
    references: bool = False
    source_poses: bool = False
    checkpoint_every_frames: int = 0
    checkpoint: bytes = b""
    background: Background = field(default_factory=Background)
    label: str = ""


@dataclass(frozen=True, slots=True)
class Rung:
    """One way in which the server may draw frames. face_and_hands_every_n: for detail LIVE; 0 for its default."""

    detail: PoseDetail
    face_and_hands_every_n: int
    picture_size: FrameSize


@dataclass(frozen=True, slots=True)
class Accepted:
    """The session as the server accepted it.

    checkpoint_every_frames: 0 if it makes no checkpoints. picture_size: at which pictures are shown; those of a lower
    rung are smaller. rungs: the best first; empty if the server does not say. references: whether answers have one;
    False for actors without a wardrobe, even if it was requested. label: burned into pictures; the server may require
    one. watermark_key_id: the server's; None if it adds no watermark. consent_sha256: of the actor's consent record.
    Earlier servers send none of the three.
    """

    actor_version: int
    checkpoint_every_frames: int
    look_ahead_frames: int
    max_frames_in_flight: int
    max_frame_side_px: int
    picture_size: FrameSize
    server_version: str
    generator_precision: str
    references: bool = False
    rungs: tuple[Rung, ...] = ()
    label: str = ""
    watermark_key_id: int | None = None
    consent_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one frame: a picture, or the reason why there is none.

    label_map, reference, source_pose: if they were requested. source_pose is in pixels of the source's frame; an answer
    without a picture has it as well, unless the frame has no dancer. rung: where it was drawn, in `Accepted.rungs`.
    checkpoint: to resume after this frame; empty in most answers.
    """

    sequence: int
    picture: EncodedPicture | None
    no_picture: NoPictureReason | None
    detail: str
    remarks: tuple[str, ...]
    stage_times: tuple[StageTime, ...]
    label_map: EncodedPicture | None
    frame_seconds: float
    checkpoint: bytes = b""
    reference: EncodedPicture | None = None
    rung: int = 0
    source_pose: Pose | None = None
