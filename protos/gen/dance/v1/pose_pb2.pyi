from dance.v1 import frame_pb2 as _frame_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PoseBackend(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POSE_BACKEND_UNSPECIFIED: _ClassVar[PoseBackend]
    POSE_BACKEND_MEDIAPIPE: _ClassVar[PoseBackend]
    POSE_BACKEND_OPENPOSE: _ClassVar[PoseBackend]
    POSE_BACKEND_RTMPOSE: _ClassVar[PoseBackend]
    POSE_BACKEND_MEDIAPIPE_SOLUTION: _ClassVar[PoseBackend]

class PoseDetail(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POSE_DETAIL_UNSPECIFIED: _ClassVar[PoseDetail]
    POSE_DETAIL_BODY: _ClassVar[PoseDetail]
    POSE_DETAIL_HOLISTIC: _ClassVar[PoseDetail]
    POSE_DETAIL_LIVE: _ClassVar[PoseDetail]
POSE_BACKEND_UNSPECIFIED: PoseBackend
POSE_BACKEND_MEDIAPIPE: PoseBackend
POSE_BACKEND_OPENPOSE: PoseBackend
POSE_BACKEND_RTMPOSE: PoseBackend
POSE_BACKEND_MEDIAPIPE_SOLUTION: PoseBackend
POSE_DETAIL_UNSPECIFIED: PoseDetail
POSE_DETAIL_BODY: PoseDetail
POSE_DETAIL_HOLISTIC: PoseDetail
POSE_DETAIL_LIVE: PoseDetail

class Pose(_message.Message):
    __slots__ = ("x_px", "y_px", "confidence")
    X_PX_FIELD_NUMBER: _ClassVar[int]
    Y_PX_FIELD_NUMBER: _ClassVar[int]
    CONFIDENCE_FIELD_NUMBER: _ClassVar[int]
    x_px: _containers.RepeatedScalarFieldContainer[float]
    y_px: _containers.RepeatedScalarFieldContainer[float]
    confidence: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, x_px: _Optional[_Iterable[float]] = ..., y_px: _Optional[_Iterable[float]] = ..., confidence: _Optional[_Iterable[float]] = ...) -> None: ...

class Person(_message.Message):
    __slots__ = ("pose", "person_id")
    POSE_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    pose: Pose
    person_id: int
    def __init__(self, pose: _Optional[_Union[Pose, _Mapping]] = ..., person_id: _Optional[int] = ...) -> None: ...

class DancerSelection(_message.Message):
    __slots__ = ("largest", "centre", "nearest", "person_id")
    LARGEST_FIELD_NUMBER: _ClassVar[int]
    CENTRE_FIELD_NUMBER: _ClassVar[int]
    NEAREST_FIELD_NUMBER: _ClassVar[int]
    PERSON_ID_FIELD_NUMBER: _ClassVar[int]
    largest: bool
    centre: bool
    nearest: Point
    person_id: int
    def __init__(self, largest: bool = ..., centre: bool = ..., nearest: _Optional[_Union[Point, _Mapping]] = ..., person_id: _Optional[int] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: float
    y: float
    def __init__(self, x: _Optional[float] = ..., y: _Optional[float] = ...) -> None: ...

class EstimateConfig(_message.Message):
    __slots__ = ("backend", "detail", "dancer", "face_and_hands_every_n", "state")
    BACKEND_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    DANCER_FIELD_NUMBER: _ClassVar[int]
    FACE_AND_HANDS_EVERY_N_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    backend: PoseBackend
    detail: PoseDetail
    dancer: DancerSelection
    face_and_hands_every_n: int
    state: bytes
    def __init__(self, backend: _Optional[_Union[PoseBackend, str]] = ..., detail: _Optional[_Union[PoseDetail, str]] = ..., dancer: _Optional[_Union[DancerSelection, _Mapping]] = ..., face_and_hands_every_n: _Optional[int] = ..., state: _Optional[bytes] = ...) -> None: ...

class EstimateRequest(_message.Message):
    __slots__ = ("config", "frame")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    FRAME_FIELD_NUMBER: _ClassVar[int]
    config: EstimateConfig
    frame: _frame_pb2.Frame
    def __init__(self, config: _Optional[_Union[EstimateConfig, _Mapping]] = ..., frame: _Optional[_Union[_frame_pb2.Frame, _Mapping]] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("sequence", "people", "dancer_index", "width_px", "height_px", "compute_seconds", "face_and_hands_carried", "bad_picture", "dancer_lost", "dancer_changed", "state_after")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PEOPLE_FIELD_NUMBER: _ClassVar[int]
    DANCER_INDEX_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FACE_AND_HANDS_CARRIED_FIELD_NUMBER: _ClassVar[int]
    BAD_PICTURE_FIELD_NUMBER: _ClassVar[int]
    DANCER_LOST_FIELD_NUMBER: _ClassVar[int]
    DANCER_CHANGED_FIELD_NUMBER: _ClassVar[int]
    STATE_AFTER_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    people: _containers.RepeatedCompositeFieldContainer[Person]
    dancer_index: int
    width_px: int
    height_px: int
    compute_seconds: float
    face_and_hands_carried: bool
    bad_picture: str
    dancer_lost: bool
    dancer_changed: bool
    state_after: bytes
    def __init__(self, sequence: _Optional[int] = ..., people: _Optional[_Iterable[_Union[Person, _Mapping]]] = ..., dancer_index: _Optional[int] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., compute_seconds: _Optional[float] = ..., face_and_hands_carried: bool = ..., bad_picture: _Optional[str] = ..., dancer_lost: bool = ..., dancer_changed: bool = ..., state_after: _Optional[bytes] = ...) -> None: ...

class EstimateResponse(_message.Message):
    __slots__ = ("accepted", "estimate")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    accepted: EstimateConfig
    estimate: Estimate
    def __init__(self, accepted: _Optional[_Union[EstimateConfig, _Mapping]] = ..., estimate: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...
