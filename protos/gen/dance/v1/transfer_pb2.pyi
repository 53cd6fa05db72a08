from dance.v1 import actor_pb2 as _actor_pb2
from dance.v1 import frame_pb2 as _frame_pb2
from dance.v1 import normalize_pb2 as _normalize_pb2
from dance.v1 import pose_pb2 as _pose_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TransferMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSFER_MODE_UNSPECIFIED: _ClassVar[TransferMode]
    TRANSFER_MODE_LOSSLESS: _ClassVar[TransferMode]
    TRANSFER_MODE_LIVE: _ClassVar[TransferMode]

class NoPictureReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NO_PICTURE_REASON_UNSPECIFIED: _ClassVar[NoPictureReason]
    NO_PICTURE_REASON_NO_PERSON: _ClassVar[NoPictureReason]
    NO_PICTURE_REASON_DROPPED: _ClassVar[NoPictureReason]
    NO_PICTURE_REASON_BAD_FRAME: _ClassVar[NoPictureReason]
    NO_PICTURE_REASON_NOT_PLACED: _ClassVar[NoPictureReason]

class FrameRemark(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FRAME_REMARK_UNSPECIFIED: _ClassVar[FrameRemark]
    FRAME_REMARK_CALIBRATING: _ClassVar[FrameRemark]
    FRAME_REMARK_EXTRAPOLATED: _ClassVar[FrameRemark]
    FRAME_REMARK_LIMITED: _ClassVar[FrameRemark]
    FRAME_REMARK_ON_THE_SPOT: _ClassVar[FrameRemark]
    FRAME_REMARK_TRANSFORM_KEPT: _ClassVar[FrameRemark]
    FRAME_REMARK_JOINTS_HELD: _ClassVar[FrameRemark]
    FRAME_REMARK_NO_FACE: _ClassVar[FrameRemark]
    FRAME_REMARK_RESTARTED: _ClassVar[FrameRemark]
    FRAME_REMARK_OUT_OF_STAGE: _ClassVar[FrameRemark]
    FRAME_REMARK_FACE_AND_HANDS_CARRIED: _ClassVar[FrameRemark]
    FRAME_REMARK_AIRBORNE: _ClassVar[FrameRemark]
    FRAME_REMARK_STAGE_RETRIED: _ClassVar[FrameRemark]
    FRAME_REMARK_DANCER_LOST: _ClassVar[FrameRemark]
    FRAME_REMARK_DANCER_CHANGED: _ClassVar[FrameRemark]
    FRAME_REMARK_REDUCED: _ClassVar[FrameRemark]
TRANSFER_MODE_UNSPECIFIED: TransferMode
TRANSFER_MODE_LOSSLESS: TransferMode
TRANSFER_MODE_LIVE: TransferMode
NO_PICTURE_REASON_UNSPECIFIED: NoPictureReason
NO_PICTURE_REASON_NO_PERSON: NoPictureReason
NO_PICTURE_REASON_DROPPED: NoPictureReason
NO_PICTURE_REASON_BAD_FRAME: NoPictureReason
NO_PICTURE_REASON_NOT_PLACED: NoPictureReason
FRAME_REMARK_UNSPECIFIED: FrameRemark
FRAME_REMARK_CALIBRATING: FrameRemark
FRAME_REMARK_EXTRAPOLATED: FrameRemark
FRAME_REMARK_LIMITED: FrameRemark
FRAME_REMARK_ON_THE_SPOT: FrameRemark
FRAME_REMARK_TRANSFORM_KEPT: FrameRemark
FRAME_REMARK_JOINTS_HELD: FrameRemark
FRAME_REMARK_NO_FACE: FrameRemark
FRAME_REMARK_RESTARTED: FrameRemark
FRAME_REMARK_OUT_OF_STAGE: FrameRemark
FRAME_REMARK_FACE_AND_HANDS_CARRIED: FrameRemark
FRAME_REMARK_AIRBORNE: FrameRemark
FRAME_REMARK_STAGE_RETRIED: FrameRemark
FRAME_REMARK_DANCER_LOST: FrameRemark
FRAME_REMARK_DANCER_CHANGED: FrameRemark
FRAME_REMARK_REDUCED: FrameRemark

class OutputFormat(_message.Message):
    __slots__ = ("encoding", "jpeg_quality", "full_frame")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    JPEG_QUALITY_FIELD_NUMBER: _ClassVar[int]
    FULL_FRAME_FIELD_NUMBER: _ClassVar[int]
    encoding: _frame_pb2.PictureEncoding
    jpeg_quality: int
    full_frame: bool
    def __init__(self, encoding: _Optional[_Union[_frame_pb2.PictureEncoding, str]] = ..., jpeg_quality: _Optional[int] = ..., full_frame: bool = ...) -> None: ...

class Colour(_message.Message):
    __slots__ = ("red", "green", "blue")
    RED_FIELD_NUMBER: _ClassVar[int]
    GREEN_FIELD_NUMBER: _ClassVar[int]
    BLUE_FIELD_NUMBER: _ClassVar[int]
    red: int
    green: int
    blue: int
    def __init__(self, red: _Optional[int] = ..., green: _Optional[int] = ..., blue: _Optional[int] = ...) -> None: ...

class Background(_message.Message):
    __slots__ = ("transparent", "colour", "picture")
    TRANSPARENT_FIELD_NUMBER: _ClassVar[int]
    COLOUR_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    transparent: bool
    colour: Colour
    picture: _frame_pb2.Picture
    def __init__(self, transparent: bool = ..., colour: _Optional[_Union[Colour, _Mapping]] = ..., picture: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ...) -> None: ...

class ReturnOptions(_message.Message):
    __slots__ = ("source_pose", "normalized_pose", "stage_times", "label_map", "reference")
    SOURCE_POSE_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_POSE_FIELD_NUMBER: _ClassVar[int]
    STAGE_TIMES_FIELD_NUMBER: _ClassVar[int]
    LABEL_MAP_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    source_pose: bool
    normalized_pose: bool
    stage_times: bool
    label_map: bool
    reference: bool
    def __init__(self, source_pose: bool = ..., normalized_pose: bool = ..., stage_times: bool = ..., label_map: bool = ..., reference: bool = ...) -> None: ...

class TransferConfig(_message.Message):
    __slots__ = ("actor", "actor_version", "mode", "output", "source_body", "dancer", "look_ahead_frames", "return_options", "checkpoint_every_frames", "checkpoint", "pose_backend", "pose_detail", "face_and_hands_every_n", "frame_rate_hz", "background", "picture_size", "adaptive", "label")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BODY_FIELD_NUMBER: _ClassVar[int]
    DANCER_FIELD_NUMBER: _ClassVar[int]
    LOOK_AHEAD_FRAMES_FIELD_NUMBER: _ClassVar[int]
    RETURN_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_EVERY_FRAMES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    POSE_BACKEND_FIELD_NUMBER: _ClassVar[int]
    POSE_DETAIL_FIELD_NUMBER: _ClassVar[int]
    FACE_AND_HANDS_EVERY_N_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    BACKGROUND_FIELD_NUMBER: _ClassVar[int]
    PICTURE_SIZE_FIELD_NUMBER: _ClassVar[int]
    ADAPTIVE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    actor: str
    actor_version: int
    mode: TransferMode
    output: OutputFormat
    source_body: _normalize_pb2.BodyStats
    dancer: _pose_pb2.DancerSelection
    look_ahead_frames: int
    return_options: ReturnOptions
    checkpoint_every_frames: int
    checkpoint: bytes
    pose_backend: _pose_pb2.PoseBackend
    pose_detail: _pose_pb2.PoseDetail
    face_and_hands_every_n: int
    frame_rate_hz: float
    background: Background
    picture_size: _normalize_pb2.FrameSize
    adaptive: bool
    label: str
    def __init__(self, actor: _Optional[str] = ..., actor_version: _Optional[int] = ..., mode: _Optional[_Union[TransferMode, str]] = ..., output: _Optional[_Union[OutputFormat, _Mapping]] = ..., source_body: _Optional[_Union[_normalize_pb2.BodyStats, _Mapping]] = ..., dancer: _Optional[_Union[_pose_pb2.DancerSelection, _Mapping]] = ..., look_ahead_frames: _Optional[int] = ..., return_options: _Optional[_Union[ReturnOptions, _Mapping]] = ..., checkpoint_every_frames: _Optional[int] = ..., checkpoint: _Optional[bytes] = ..., pose_backend: _Optional[_Union[_pose_pb2.PoseBackend, str]] = ..., pose_detail: _Optional[_Union[_pose_pb2.PoseDetail, str]] = ..., face_and_hands_every_n: _Optional[int] = ..., frame_rate_hz: _Optional[float] = ..., background: _Optional[_Union[Background, _Mapping]] = ..., picture_size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ..., adaptive: bool = ..., label: _Optional[str] = ...) -> None: ...

class Rung(_message.Message):
    __slots__ = ("pose_detail", "face_and_hands_every_n", "picture_size")
    POSE_DETAIL_FIELD_NUMBER: _ClassVar[int]
    FACE_AND_HANDS_EVERY_N_FIELD_NUMBER: _ClassVar[int]
    PICTURE_SIZE_FIELD_NUMBER: _ClassVar[int]
    pose_detail: _pose_pb2.PoseDetail
    face_and_hands_every_n: int
    picture_size: _normalize_pb2.FrameSize
    def __init__(self, pose_detail: _Optional[_Union[_pose_pb2.PoseDetail, str]] = ..., face_and_hands_every_n: _Optional[int] = ..., picture_size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ...) -> None: ...

class SessionLimits(_message.Message):
    __slots__ = ("max_frames_in_flight", "max_frame_side_px", "max_frame_bytes")
    MAX_FRAMES_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_SIDE_PX_FIELD_NUMBER: _ClassVar[int]
    MAX_FRAME_BYTES_FIELD_NUMBER: _ClassVar[int]
    max_frames_in_flight: int
    max_frame_side_px: int
    max_frame_bytes: int
    def __init__(self, max_frames_in_flight: _Optional[int] = ..., max_frame_side_px: _Optional[int] = ..., max_frame_bytes: _Optional[int] = ...) -> None: ...

class TransferAccepted(_message.Message):
    __slots__ = ("config", "limits", "server_version", "stage_size", "full_frame_size", "generator_precision", "rungs", "watermark_key_id", "consent_sha256")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    SERVER_VERSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    FULL_FRAME_SIZE_FIELD_NUMBER: _ClassVar[int]
    GENERATOR_PRECISION_FIELD_NUMBER: _ClassVar[int]
    RUNGS_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_KEY_ID_FIELD_NUMBER: _ClassVar[int]
    CONSENT_SHA256_FIELD_NUMBER: _ClassVar[int]
    config: TransferConfig
    limits: SessionLimits
    server_version: str
    stage_size: _normalize_pb2.FrameSize
    full_frame_size: _normalize_pb2.FrameSize
    generator_precision: str
    rungs: _containers.RepeatedCompositeFieldContainer[Rung]
    watermark_key_id: int
    consent_sha256: str
    def __init__(self, config: _Optional[_Union[TransferConfig, _Mapping]] = ..., limits: _Optional[_Union[SessionLimits, _Mapping]] = ..., server_version: _Optional[str] = ..., stage_size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ..., full_frame_size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ..., generator_precision: _Optional[str] = ..., rungs: _Optional[_Iterable[_Union[Rung, _Mapping]]] = ..., watermark_key_id: _Optional[int] = ..., consent_sha256: _Optional[str] = ...) -> None: ...

class ClientPose(_message.Message):
    __slots__ = ("pose", "size", "face_and_hands_carried", "dancer_lost", "dancer_changed")
    POSE_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    FACE_AND_HANDS_CARRIED_FIELD_NUMBER: _ClassVar[int]
    DANCER_LOST_FIELD_NUMBER: _ClassVar[int]
    DANCER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    pose: _pose_pb2.Pose
    size: _normalize_pb2.FrameSize
    face_and_hands_carried: bool
    dancer_lost: bool
    dancer_changed: bool
    def __init__(self, pose: _Optional[_Union[_pose_pb2.Pose, _Mapping]] = ..., size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ..., face_and_hands_carried: bool = ..., dancer_lost: bool = ..., dancer_changed: bool = ...) -> None: ...

class TransferFrame(_message.Message):
    __slots__ = ("sequence", "captured_at", "picture", "client_pose")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_AT_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_POSE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    captured_at: _timestamp_pb2.Timestamp
    picture: _frame_pb2.Picture
    client_pose: ClientPose
    def __init__(self, sequence: _Optional[int] = ..., captured_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., picture: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ..., client_pose: _Optional[_Union[ClientPose, _Mapping]] = ...) -> None: ...

class TransferRequest(_message.Message):
    __slots__ = ("config", "frame")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    config: TransferConfig
    frame: TransferFrame
    def __init__(self, config: _Optional[_Union[TransferConfig, _Mapping]] = ..., frame: _Optional[_Union[TransferFrame, _Mapping]] = ...) -> None: ...

class NoPicture(_message.Message):
    __slots__ = ("reason", "detail")
    REASON_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    reason: NoPictureReason
    detail: str
    def __init__(self, reason: _Optional[_Union[NoPictureReason, str]] = ..., detail: _Optional[str] = ...) -> None: ...

class TransferAnswer(_message.Message):
    __slots__ = ("sequence", "picture", "no_picture", "remarks", "stage_times", "source_pose", "normalized_pose", "label_map", "checkpoint", "frame_seconds", "transform", "reference", "rung")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    NO_PICTURE_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    STAGE_TIMES_FIELD_NUMBER: _ClassVar[int]
    SOURCE_POSE_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_POSE_FIELD_NUMBER: _ClassVar[int]
    LABEL_MAP_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    FRAME_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_FIELD_NUMBER: _ClassVar[int]
    RUNG_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    picture: _frame_pb2.Picture
    no_picture: NoPicture
    remarks: _containers.RepeatedScalarFieldContainer[FrameRemark]
    stage_times: _containers.RepeatedCompositeFieldContainer[_frame_pb2.StageTime]
    source_pose: _pose_pb2.Pose
    normalized_pose: _pose_pb2.Pose
    label_map: _frame_pb2.Picture
    checkpoint: bytes
    frame_seconds: float
    transform: _normalize_pb2.BodyTransform
    reference: _frame_pb2.Picture
    rung: int
    def __init__(self, sequence: _Optional[int] = ..., picture: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ..., no_picture: _Optional[_Union[NoPicture, _Mapping]] = ..., remarks: _Optional[_Iterable[_Union[FrameRemark, str]]] = ..., stage_times: _Optional[_Iterable[_Union[_frame_pb2.StageTime, _Mapping]]] = ..., source_pose: _Optional[_Union[_pose_pb2.Pose, _Mapping]] = ..., normalized_pose: _Optional[_Union[_pose_pb2.Pose, _Mapping]] = ..., label_map: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ..., checkpoint: _Optional[bytes] = ..., frame_seconds: _Optional[float] = ..., transform: _Optional[_Union[_normalize_pb2.BodyTransform, _Mapping]] = ..., reference: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ..., rung: _Optional[int] = ...) -> None: ...

class Draining(_message.Message):
    __slots__ = ("checkpoint", "next_sequence")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    NEXT_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    checkpoint: bytes
    next_sequence: int
    def __init__(self, checkpoint: _Optional[bytes] = ..., next_sequence: _Optional[int] = ...) -> None: ...

class TransferResponse(_message.Message):
    __slots__ = ("accepted", "answer", "draining")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    accepted: TransferAccepted
    answer: TransferAnswer
    draining: Draining
    def __init__(self, accepted: _Optional[_Union[TransferAccepted, _Mapping]] = ..., answer: _Optional[_Union[TransferAnswer, _Mapping]] = ..., draining: _Optional[_Union[Draining, _Mapping]] = ...) -> None: ...

class ListActorsRequest(_message.Message):
    __slots__ = ("actor", "actor_version", "previews")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    PREVIEWS_FIELD_NUMBER: _ClassVar[int]
    actor: str
    actor_version: int
    previews: bool
    def __init__(self, actor: _Optional[str] = ..., actor_version: _Optional[int] = ..., previews: bool = ...) -> None: ...

class ListActorsResponse(_message.Message):
    __slots__ = ("actors", "watermark_key_ids")
    ACTORS_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_KEY_IDS_FIELD_NUMBER: _ClassVar[int]
    actors: _containers.RepeatedCompositeFieldContainer[_actor_pb2.ActorSummary]
    watermark_key_ids: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, actors: _Optional[_Iterable[_Union[_actor_pb2.ActorSummary, _Mapping]]] = ..., watermark_key_ids: _Optional[_Iterable[int]] = ...) -> None: ...

class FitBodyConfig(_message.Message):
    __slots__ = ("pose_backend", "dancer")
    POSE_BACKEND_FIELD_NUMBER: _ClassVar[int]
    DANCER_FIELD_NUMBER: _ClassVar[int]
    pose_backend: _pose_pb2.PoseBackend
    dancer: _pose_pb2.DancerSelection
    def __init__(self, pose_backend: _Optional[_Union[_pose_pb2.PoseBackend, str]] = ..., dancer: _Optional[_Union[_pose_pb2.DancerSelection, _Mapping]] = ...) -> None: ...

class FitBodyRequest(_message.Message):
    __slots__ = ("config", "frame")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    config: FitBodyConfig
    frame: TransferFrame
    def __init__(self, config: _Optional[_Union[FitBodyConfig, _Mapping]] = ..., frame: _Optional[_Union[TransferFrame, _Mapping]] = ...) -> None: ...

class FitBodyResponse(_message.Message):
    __slots__ = ("body", "frames", "frames_with_person", "on_the_spot")
    BODY_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    FRAMES_WITH_PERSON_FIELD_NUMBER: _ClassVar[int]
    ON_THE_SPOT_FIELD_NUMBER: _ClassVar[int]
    body: _normalize_pb2.BodyStats
    frames: int
    frames_with_person: int
    on_the_spot: bool
    def __init__(self, body: _Optional[_Union[_normalize_pb2.BodyStats, _Mapping]] = ..., frames: _Optional[int] = ..., frames_with_person: _Optional[int] = ..., on_the_spot: bool = ...) -> None: ...
