from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PictureEncoding(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PICTURE_ENCODING_UNSPECIFIED: _ClassVar[PictureEncoding]
    PICTURE_ENCODING_JPEG: _ClassVar[PictureEncoding]
    PICTURE_ENCODING_PNG: _ClassVar[PictureEncoding]
    PICTURE_ENCODING_RAW: _ClassVar[PictureEncoding]
    PICTURE_ENCODING_RAW_RGBA: _ClassVar[PictureEncoding]
PICTURE_ENCODING_UNSPECIFIED: PictureEncoding
PICTURE_ENCODING_JPEG: PictureEncoding
PICTURE_ENCODING_PNG: PictureEncoding
PICTURE_ENCODING_RAW: PictureEncoding
PICTURE_ENCODING_RAW_RGBA: PictureEncoding

class Picture(_message.Message):
    __slots__ = ("encoding", "width_px", "height_px", "data")
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    WIDTH_PX_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_PX_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    encoding: PictureEncoding
    width_px: int
    height_px: int
    data: bytes
    def __init__(self, encoding: _Optional[_Union[PictureEncoding, str]] = ..., width_px: _Optional[int] = ..., height_px: _Optional[int] = ..., data: _Optional[bytes] = ...) -> None: ...

class Frame(_message.Message):
    __slots__ = ("sequence", "captured_at", "picture")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CAPTURED_AT_FIELD_NUMBER: _ClassVar[int]
    PICTURE_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    captured_at: _timestamp_pb2.Timestamp
    picture: Picture
    def __init__(self, sequence: _Optional[int] = ..., captured_at: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., picture: _Optional[_Union[Picture, _Mapping]] = ...) -> None: ...

class StageTime(_message.Message):
    __slots__ = ("stage", "compute_seconds", "queue_seconds", "total_seconds")
    STAGE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    stage: str
    compute_seconds: float
    queue_seconds: float
    total_seconds: float
    def __init__(self, stage: _Optional[str] = ..., compute_seconds: _Optional[float] = ..., queue_seconds: _Optional[float] = ..., total_seconds: _Optional[float] = ...) -> None: ...
