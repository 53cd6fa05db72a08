"""The state of a `DancerTracker` between frames, and its serialisation."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from motion import skeleton
from motion.people.track import Track

MOST_TRACKS: Final = 128
"""People remembered at the same time. A state of so many has 57 kB, one of two people 1 kB."""

_HEADER: Final = struct.Struct("<16sI")  # format, CRC-32 of the rest
_FORMAT: Final = b"dance-tracker-1\n"
_FACTS: Final = struct.Struct("<IIdd?H")  # last id, dancer's id, lost for, last time, whether it is known, tracks
_TRACK: Final = struct.Struct("<IIdddd")  # id, sightings, size, speed in x and y, unseen for; then joints
_JOINTS: Final = len(range(skeleton.JOINT_COUNT)[skeleton.BODY])
_LARGEST_NUMBER: Final = 1e18
"""The limit for numbers in a state. Valid videos stay far below; larger numbers could overflow."""


@dataclass(slots=True)
class TrackerState:
    """Everything that a tracker's later answers depend on, besides its rules and the frames themselves.

    last_id: the highest number given to a person. last_time_s: of the last frame; None if unknown. dancer_id: 0 until
    a dancer is chosen. lost_seconds: how long the dancer has been out of sight.
    """

    tracks: list[Track] = field(default_factory=list)
    last_id: int = 0
    last_time_s: float | None = None
    dancer_id: int = 0
    lost_seconds: float = 0.0

    def to_bytes(self) -> bytes:
        """Serialise the state to at most 57 kB; `from_bytes` restores it exactly."""
        known = self.last_time_s is not None
        parts = [
            _FACTS.pack(
                self.last_id, self.dancer_id, self.lost_seconds, self.last_time_s or 0.0, known, len(self.tracks)
            )
        ]
        for track in self.tracks:
            x_px_s, y_px_s = track.speed_px_s.tolist()
            numbers = track.size_px, x_px_s, y_px_s, track.unseen_seconds
            parts.append(_TRACK.pack(track.person_id, track.sightings, *numbers))
            parts.append(np.packbits(track.known).tobytes())
            parts.append(track.joints_px[track.known].astype("<f8").tobytes())
        body = b"".join(parts)
        return _HEADER.pack(_FORMAT, zlib.crc32(body)) + body

    @classmethod
    def from_bytes(cls, data: bytes) -> TrackerState:
        """Read what `to_bytes` returned. Raises ValueError, whose text follows "is", for anything else."""
        if len(data) < _HEADER.size or not data.startswith(_FORMAT):
            raise ValueError("not a state of this version of the tracker")
        body = data[_HEADER.size :]
        if _HEADER.unpack_from(data)[1] != zlib.crc32(body):
            raise ValueError("a damaged state")
        try:
            return _state(body)
        except struct.error as error:
            raise ValueError("a state that ends too early") from error


def _state(body: bytes) -> TrackerState:
    last_id, dancer_id, lost_seconds, time_s, known, count = _FACTS.unpack_from(body)
    if count > MOST_TRACKS:
        raise ValueError(f"a state with {count} people, expected at most {MOST_TRACKS}")
    _check([lost_seconds, time_s], [lost_seconds])
    state = TrackerState([], last_id, time_s if known else None, dancer_id, lost_seconds)
    offset = _FACTS.size
    for _ in range(count):
        track, offset = _track(body, offset)
        state.tracks.append(track)
    if offset != len(body):
        raise ValueError(f"a state with {len(body) - offset} extra bytes")
    ids = [track.person_id for track in state.tracks if track.person_id]
    if len(set(ids)) < len(ids) or max(ids, default=0) > last_id:
        raise ValueError("a state whose people do not have numbers of their own")
    return state


def _track(body: bytes, offset: int) -> tuple[Track, int]:
    """Return the track that begins at `offset`, and the offset after it. Raises ValueError."""
    person_id, sightings, size_px, x_px_s, y_px_s, unseen_seconds = _TRACK.unpack_from(body, offset)
    offset += _TRACK.size
    mask = np.frombuffer(body, np.uint8, (_JOINTS + 7) // 8, offset)
    offset += mask.nbytes
    known = np.unpackbits(mask, count=_JOINTS).astype(np.bool_)
    found_px = np.frombuffer(body, "<f8", 2 * int(known.sum()), offset).reshape(-1, 2)
    offset += found_px.nbytes
    _check([size_px, x_px_s, y_px_s, unseen_seconds, *found_px.ravel()], [size_px, unseen_seconds])
    joints_px = np.zeros((_JOINTS, 2))
    joints_px[known] = found_px
    return Track(person_id, joints_px, known, size_px, np.array([x_px_s, y_px_s]), unseen_seconds, sightings), offset


def _check(numbers: list[float], positive: list[float]) -> None:
    if not all(abs(number) <= _LARGEST_NUMBER for number in numbers) or min(positive) < 0:  # NaN is not
        raise ValueError(f"a state with negative or missing numbers, or with numbers beyond {_LARGEST_NUMBER:g}")
