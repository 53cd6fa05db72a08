"""What the tracker knows of the person after a picture, and its serialisation."""

from __future__ import annotations

import math
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize
from motion.pose import Pose
from services.pose.mediapipe.body import LANDMARKS, BodyTrack
from services.pose.mediapipe.one_euro import Smoothed
from services.pose.mediapipe.parts import PARTS
from services.pose.mediapipe.regions import Points

Floats = NDArray[np.float32]

_FORMAT: Final = b"dance-mediapipe-1\n"
_HEADER: Final = struct.Struct("<18sIIIdI")  # format, CRC-32 of the rest, frame size, time, frames since the detection
_ROWS: Final = struct.Struct("<H")
_GUIDES: Final = 2
_FARTHEST_PX: Final = 1e9
_MOST_ROWS: Final = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """A person who is being followed, after a picture of `size`.

    time_s: when the picture was captured; None if unknown. parts: for each of `PARTS`, what it remembers; None if it
    was not found. detected: the last pose whose face and hands were detected, for `PoseDetail.LIVE`; else None.
    frames_since_detection: how many frames its face and hands have been moved along since then.
    """

    size: FrameSize
    time_s: float | None
    body: BodyTrack
    parts: tuple[Points | None, ...] = (None,) * len(PARTS)
    detected: Pose | None = None
    frames_since_detection: int = 0

    def to_bytes(self) -> bytes:
        """Serialise to at most about 4 kB; `from_bytes` restores it exactly."""
        body, detected = self.body, self.detected
        arrays = [
            body.landmarks.points,
            body.landmarks.raw,
            body.landmarks.speeds,
            body.guides.points,
            body.guides.raw,
            body.guides.speeds,
            body.visibility,
            *self.parts,
            *((None, None) if detected is None else (detected.joints_px, detected.confidence)),
        ]
        rest = b"".join(
            _ROWS.pack(0) if array is None else _ROWS.pack(len(array)) + array.astype("<f4").tobytes()
            for array in arrays
        )
        time_s = math.nan if self.time_s is None else self.time_s
        size, since = self.size, self.frames_since_detection
        header = _HEADER.pack(_FORMAT, zlib.crc32(rest), size.width_px, size.height_px, time_s, since)
        return header + rest

    @classmethod
    def from_bytes(cls, data: bytes) -> Track:
        """Restore a track. Raises ValueError for bytes that `to_bytes` did not write."""
        if not data.startswith(_FORMAT) or len(data) < _HEADER.size:
            raise ValueError("not a state of this version of the backend mediapipe")
        _, checksum, width_px, height_px, time_s, since = _HEADER.unpack_from(data)
        if zlib.crc32(data[_HEADER.size :]) != checksum:
            raise ValueError("a damaged state")
        read = _Reader(data, _HEADER.size)
        body = BodyTrack(_smoothed(read, LANDMARKS), _smoothed(read, _GUIDES), read.some(LANDMARKS, 1)[:, 0])
        parts = tuple(read.rows(2) for _ in PARTS)
        for part, points in zip(PARTS, parts, strict=True):
            if points is not None and len(points) not in part.remembers:
                raise ValueError(f"a state with {len(points)} points of a part of the body")
        joints_px, confidence = read.rows(2), read.rows(1)
        if read.left():
            raise ValueError("a state with bytes after its end")
        if not (joints_px is None) == (confidence is None):
            raise ValueError("a state with half a pose")
        detected = None if joints_px is None or confidence is None else Pose(joints_px, confidence[:, 0])
        if math.isinf(time_s):
            raise ValueError("a state with an endless time")
        return cls(FrameSize(width_px, height_px), None if math.isnan(time_s) else time_s, body, parts, detected, since)


class _Reader:
    """Reads arrays one after another, and checks that they are of a sensible size and hold sensible numbers."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data, self._offset = data, offset

    def rows(self, columns: int) -> Floats | None:
        """Return `[N, columns]` float32; None for an empty one."""
        if self._offset + _ROWS.size > len(self._data):
            raise ValueError("a state that is too short")
        (count,) = _ROWS.unpack_from(self._data, self._offset)
        begin = self._offset + _ROWS.size
        self._offset = begin + 4 * columns * count
        if count > _MOST_ROWS or self._offset > len(self._data):
            raise ValueError("a state that is too short")
        if not count:
            return None
        array = np.frombuffer(self._data, "<f4", columns * count, begin).reshape(count, columns).astype(np.float32)
        if not (np.abs(array) < _FARTHEST_PX).all():  # NaN is not
            raise ValueError("a state with numbers out of range")
        return array

    def some(self, count: int, columns: int) -> Floats:
        """Return `[count, columns]` float32."""
        array = self.rows(columns)
        if array is None or len(array) != count:
            raise ValueError("a state with another number of landmarks")
        return array

    def left(self) -> bool:
        """Whether bytes are left."""
        return self._offset < len(self._data)


def _smoothed(read: _Reader, count: int) -> Smoothed:
    return Smoothed(read.some(count, 2), read.some(count, 2), read.some(count, 2))
