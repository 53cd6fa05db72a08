from dance.v1 import normalize_pb2 as _normalize_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ActorScore(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class ActorPreview(_message.Message):
    __slots__ = ("media_type", "data")
    MEDIA_TYPE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    media_type: str
    data: bytes
    def __init__(self, media_type: _Optional[str] = ..., data: _Optional[bytes] = ...) -> None: ...

class WardrobeSummary(_message.Message):
    __slots__ = ("key_frames", "facings")
    KEY_FRAMES_FIELD_NUMBER: _ClassVar[int]
    FACINGS_FIELD_NUMBER: _ClassVar[int]
    key_frames: int
    facings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, key_frames: _Optional[int] = ..., facings: _Optional[_Iterable[str]] = ...) -> None: ...

class ConsentSummary(_message.Message):
    __slots__ = ("who", "given_on", "uses", "until", "recorded_by", "sha256", "ended_because")
    WHO_FIELD_NUMBER: _ClassVar[int]
    GIVEN_ON_FIELD_NUMBER: _ClassVar[int]
    USES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    RECORDED_BY_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    ENDED_BECAUSE_FIELD_NUMBER: _ClassVar[int]
    who: str
    given_on: str
    uses: _containers.RepeatedScalarFieldContainer[str]
    until: str
    recorded_by: str
    sha256: str
    ended_because: str
    def __init__(self, who: _Optional[str] = ..., given_on: _Optional[str] = ..., uses: _Optional[_Iterable[str]] = ..., until: _Optional[str] = ..., recorded_by: _Optional[str] = ..., sha256: _Optional[str] = ..., ended_because: _Optional[str] = ...) -> None: ...

class ActorSummary(_message.Message):
    __slots__ = ("actor", "actor_version", "stage_size", "full_frame_size", "preset", "label_map_version", "unavailable", "body", "served_percent", "size_bytes", "wardrobe", "bare_warp", "smaller_sizes", "consent", "trained_at", "scores", "has_preview", "preview", "consent_summary")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    STAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    FULL_FRAME_SIZE_FIELD_NUMBER: _ClassVar[int]
    PRESET_FIELD_NUMBER: _ClassVar[int]
    LABEL_MAP_VERSION_FIELD_NUMBER: _ClassVar[int]
    UNAVAILABLE_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    SERVED_PERCENT_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WARDROBE_FIELD_NUMBER: _ClassVar[int]
    BARE_WARP_FIELD_NUMBER: _ClassVar[int]
    SMALLER_SIZES_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    TRAINED_AT_FIELD_NUMBER: _ClassVar[int]
    SCORES_FIELD_NUMBER: _ClassVar[int]
    HAS_PREVIEW_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    CONSENT_SUMMARY_FIELD_NUMBER: _ClassVar[int]
    actor: str
    actor_version: int
    stage_size: _normalize_pb2.FrameSize
    full_frame_size: _normalize_pb2.FrameSize
    preset: str
    label_map_version: int
    unavailable: str
    body: _normalize_pb2.BodyStats
    served_percent: float
    size_bytes: int
    wardrobe: WardrobeSummary
    bare_warp: bool
    smaller_sizes: _containers.RepeatedCompositeFieldContainer[_normalize_pb2.FrameSize]
    consent: str
    trained_at: _timestamp_pb2.Timestamp
    scores: _containers.RepeatedCompositeFieldContainer[ActorScore]
    has_preview: bool
    preview: ActorPreview
    consent_summary: ConsentSummary
    def __init__(self, actor: _Optional[str] = ..., actor_version: _Optional[int] = ..., stage_size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ..., full_frame_size: _Optional[_Union[_normalize_pb2.FrameSize, _Mapping]] = ..., preset: _Optional[str] = ..., label_map_version: _Optional[int] = ..., unavailable: _Optional[str] = ..., body: _Optional[_Union[_normalize_pb2.BodyStats, _Mapping]] = ..., served_percent: _Optional[float] = ..., size_bytes: _Optional[int] = ..., wardrobe: _Optional[_Union[WardrobeSummary, _Mapping]] = ..., bare_warp: bool = ..., smaller_sizes: _Optional[_Iterable[_Union[_normalize_pb2.FrameSize, _Mapping]]] = ..., consent: _Optional[str] = ..., trained_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., scores: _Optional[_Iterable[_Union[ActorScore, _Mapping]]] = ..., has_preview: bool = ..., preview: _Optional[_Union[ActorPreview, _Mapping]] = ..., consent_summary: _Optional[_Union[ConsentSummary, _Mapping]] = ...) -> None: ...
