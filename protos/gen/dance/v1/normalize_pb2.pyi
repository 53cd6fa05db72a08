from dance.v1 import pose_pb2 as _pose_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Calibration(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CALIBRATION_UNSPECIFIED: _ClassVar[Calibration]
    CALIBRATION_GIVEN: _ClassVar[Calibration]
    CALIBRATION_RUNNING: _ClassVar[Calibration]
CALIBRATION_UNSPECIFIED: Calibration
CALIBRATION_GIVEN: Calibration
CALIBRATION_RUNNING: Calibration

class BodyStats(_message.Message):
    __slots__ = ("near_ankle_y", "far_ankle_y", "near_height", "far_height", "hip_x", "frames")
    NEAR_ANKLE_Y_FIELD_NUMBER: _ClassVar[int]
    FAR_ANKLE_Y_FIELD_NUMBER: _ClassVar[int]
    NEAR_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FAR_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    HIP_X_FIELD_NUMBER: _ClassVar[int]
    FRAMES_FIELD_NUMBER: _ClassVar[int]
    near_ankle_y: float
    far_ankle_y: float
    near_height: float
    far_height: float
    hip_x: float
    frames: int
    def __init__(self, near_ankle_y: _Optional[float] = ..., far_ankle_y: _Optional[float] = ..., near_height: _Optional[float] = ..., far_height: _Optional[float] = ..., hip_x: _Optional[float] = ..., frames: _Optional[int] = ...) -> None: ...

class FrameSize(_message.Message):
    __slots__ = ("width_px", "height_px")
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    width_px: int
    height_px: int
    def __init__(self, width_px: _Optional[int] = ..., height_px: _Optional[int] = ...) -> None: ...

class NormalizeConfig(_message.Message):
    __slots__ = ("target_body", "target_frame", "source_body", "look_ahead_frames", "frame_rate_hz", "state")
    TARGET_BODY_FIELD_NUMBER: _ClassVar[int]
    TARGET_FRAME_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BODY_FIELD_NUMBER: _ClassVar[int]
    LOOK_AHEAD_FRAMES_FIELD_NUMBER: _ClassVar[int]
    FRAME_RATE_HZ_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    target_body: BodyStats
    target_frame: FrameSize
    source_body: BodyStats
    look_ahead_frames: int
    frame_rate_hz: float
    state: bytes
    def __init__(self, target_body: _Optional[_Union[BodyStats, _Mapping]] = ..., target_frame: _Optional[_Union[FrameSize, _Mapping]] = ..., source_body: _Optional[_Union[BodyStats, _Mapping]] = ..., look_ahead_frames: _Optional[int] = ..., frame_rate_hz: _Optional[float] = ..., state: _Optional[bytes] = ...) -> None: ...

class PoseFrame(_message.Message):
    __slots__ = ("sequence", "captured_at", "size", "pose")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_AT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    POSE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    captured_at: _timestamp_pb2.Timestamp
    size: FrameSize
    pose: _pose_pb2.Pose
    def __init__(self, sequence: _Optional[int] = ..., captured_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., size: _Optional[_Union[FrameSize, _Mapping]] = ..., pose: _Optional[_Union[_pose_pb2.Pose, _Mapping]] = ...) -> None: ...

class NormalizeRequest(_message.Message):
    __slots__ = ("config", "pose_frame")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    POSE_FRAME_FIELD_NUMBER: _ClassVar[int]
    config: NormalizeConfig
    pose_frame: PoseFrame
    def __init__(self, config: _Optional[_Union[NormalizeConfig, _Mapping]] = ..., pose_frame: _Optional[_Union[PoseFrame, _Mapping]] = ...) -> None: ...

class BodyTransform(_message.Message):
    __slots__ = ("scale", "foot_y", "hip_x")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    FOOT_Y_FIELD_NUMBER: _ClassVar[int]
    HIP_X_FIELD_NUMBER: _ClassVar[int]
    scale: float
    foot_y: float
    hip_x: float
    def __init__(self, scale: _Optional[float] = ..., foot_y: _Optional[float] = ..., hip_x: _Optional[float] = ...) -> None: ...

class NormalizedPose(_message.Message):
    __slots__ = ("sequence", "pose", "transform", "calibration", "certainty", "depth_ratio", "extrapolated", "limited", "on_the_spot", "transform_kept", "held_joints", "state_after", "compute_seconds", "source_body", "airborne")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    POSE_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_FIELD_NUMBER: _ClassVar[int]
    CALIBRATION_FIELD_NUMBER: _ClassVar[int]
    CERTAINTY_FIELD_NUMBER: _ClassVar[int]
    DEPTH_RATIO_FIELD_NUMBER: _ClassVar[int]
    EXTRAPOLATED_FIELD_NUMBER: _ClassVar[int]
    LIMITED_FIELD_NUMBER: _ClassVar[int]
    ON_THE_SPOT_FIELD_NUMBER: _ClassVar[int]
    TRANSFORM_KEPT_FIELD_NUMBER: _ClassVar[int]
    HELD_JOINTS_FIELD_NUMBER: _ClassVar[int]
    STATE_AFTER_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_BODY_FIELD_NUMBER: _ClassVar[int]
    AIRBORNE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    pose: _pose_pb2.Pose
    transform: BodyTransform
    calibration: Calibration
    certainty: float
    depth_ratio: float
    extrapolated: bool
    limited: bool
    on_the_spot: bool
    transform_kept: bool
    held_joints: int
    state_after: bytes
    compute_seconds: float
    source_body: BodyStats
    airborne: bool
    def __init__(self, sequence: _Optional[int] = ..., pose: _Optional[_Union[_pose_pb2.Pose, _Mapping]] = ..., transform: _Optional[_Union[BodyTransform, _Mapping]] = ..., calibration: _Optional[_Union[Calibration, str]] = ..., certainty: _Optional[float] = ..., depth_ratio: _Optional[float] = ..., extrapolated: bool = ..., limited: bool = ..., on_the_spot: bool = ..., transform_kept: bool = ..., held_joints: _Optional[int] = ..., state_after: _Optional[bytes] = ..., compute_seconds: _Optional[float] = ..., source_body: _Optional[_Union[BodyStats, _Mapping]] = ..., airborne: bool = ...) -> None: ...

class NormalizeResponse(_message.Message):
    __slots__ = ("accepted", "normalized")
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    NORMALIZED_FIELD_NUMBER: _ClassVar[int]
    accepted: NormalizeConfig
    normalized: NormalizedPose
    def __init__(self, accepted: _Optional[_Union[NormalizeConfig, _Mapping]] = ..., normalized: _Optional[_Union[NormalizedPose, _Mapping]] = ...) -> None: ...
