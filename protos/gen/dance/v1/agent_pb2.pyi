from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class EnsureActorRequest(_message.Message):
    __slots__ = ("actor", "actor_version")
    ACTOR_FIELD_NUMBER: _ClassVar[int]
    ACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    actor: str
    actor_version: int
    def __init__(self, actor: _Optional[str] = ..., actor_version: _Optional[int] = ...) -> None: ...

class EnsureActorResponse(_message.Message):
    __slots__ = ("actor_version", "precision")
    ACTOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    actor_version: int
    precision: str
    def __init__(self, actor_version: _Optional[int] = ..., precision: _Optional[str] = ...) -> None: ...
