from dance.v1 import frame_pb2 as _frame_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RefineRequest(_message.Message):
    __slots__ = ("actor", "actor_version", "face", "label")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    FACE_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    actor: str
    actor_version: int
    face: _frame_pb2.Picture
    label: _frame_pb2.Picture
    def __init__(self, actor: _Optional[str] = ..., actor_version: _Optional[int] = ..., face: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ..., label: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ...) -> None: ...

class RefineResponse(_message.Message):
    __slots__ = ("face", "compute_seconds", "batch_size")
    FACE_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    face: _frame_pb2.Picture
    compute_seconds: float
    batch_size: int
    def __init__(self, face: _Optional[_Union[_frame_pb2.Picture, _Mapping]] = ..., compute_seconds: _Optional[float] = ..., batch_size: _Optional[int] = ...) -> None: ...
