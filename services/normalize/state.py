"""The state of a normaliser between frames, and its serialisation."""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections import deque
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.body import BodyMeasure, BodyStats, RunningBody
from motion.documents import parsed, shortened
from motion.frame import FrameSize
from motion.retarget import Retargeting, Transform
from motion.smoothing.median import MAX_WINDOW_FRAMES, Table
from services.normalize.calibration import FARTHEST_LOG_SCALE, Easing, SourceBody

_FORMAT: Final = b"dance-normalize-1\n"
_HEADER: Final = struct.Struct("<18s8sII")  # format, fingerprint of the config, CRC-32 of the rest, length of the JSON
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_PAST_FRAMES: Final = MAX_WINDOW_FRAMES // 2
_LARGEST_NUMBER: Final = 1e18
"""The limit for numbers in a state. Valid streams stay far below; larger numbers could overflow."""


@dataclass(slots=True)
class JointMemory:
    """Position, speed and last sighting of each joint. `J` is `skeleton.JOINT_COUNT`.

    table: `[J, 3]` float32, smoothed x and y in pixels and the confidence; the confidence is 0 for an unknown joint.
    speed: `[J, 2]` float32, frame heights a second. seen_at_s: `[J]` float64, on the stream's clock.
    """

    table: Table = field(default_factory=lambda: np.zeros((skeleton.JOINT_COUNT, 3), np.float32))
    speed: NDArray[np.float32] = field(default_factory=lambda: np.zeros((skeleton.JOINT_COUNT, 2), np.float32))
    seen_at_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(skeleton.JOINT_COUNT))


@dataclass(slots=True)
class Placing:
    """The last frame with usable feet: its measure, the wanted retargeting, and the transform that was used."""

    anchor: BodyMeasure
    wanted: Retargeting
    used: Transform


@dataclass(slots=True)
class Memory:
    """Everything that later answers depend on, besides the config and the frames themselves.

    past: the unsmoothed tables of the last frames with their times, oldest first; at most 3, for the median.
    """

    source: SourceBody
    sequence: int = -1
    time_s: float | None = None
    size: FrameSize | None = None
    joints: JointMemory = field(default_factory=JointMemory)
    past: deque[tuple[float, Table]] = field(default_factory=lambda: deque(maxlen=_PAST_FRAMES))
    easing: Easing = field(default_factory=Easing)
    placing: Placing | None = None


def fingerprint(**config: Any) -> bytes:
    """Return 8 bytes that identify a config; the values must be JSON-serialisable."""
    return hashlib.blake2b(json.dumps(config, sort_keys=True).encode(), digest_size=8).digest()


def to_bytes(memory: Memory, config_fingerprint: bytes) -> bytes:
    """Serialise the memory to at most about 10 kB; `from_bytes` restores it exactly."""
    running = memory.source.running
    known = memory.joints.table[:, 2] > 0
    facts = {
        "sequence": memory.sequence,
        "time_s": memory.time_s,
        "size": memory.size and [memory.size.width_px, memory.size.height_px],
        "easing": _numbers(memory.easing),
        "placing": memory.placing and _placing_facts(memory.placing),
        "running": running and running.to_state(),
        "past_s": [time_s for time_s, _ in memory.past],
    }
    text = _ENCODER.encode(facts).encode()
    parts = [
        text,
        np.packbits(known).tobytes(),
        memory.joints.table[known].tobytes(),
        memory.joints.speed[known].tobytes(),
        memory.joints.seen_at_s[known].tobytes(),
    ]
    for _, table in memory.past:
        seen = table[:, 2] > 0
        parts += [np.packbits(seen).tobytes(), table[seen].tobytes()]
    body = b"".join(parts)
    return _HEADER.pack(_FORMAT, config_fingerprint, zlib.crc32(body), len(text)) + body


def from_bytes(data: bytes, config_fingerprint: bytes, given: BodyStats | None) -> Memory:
    """Restore a memory. Raises ValueError unless `to_bytes` wrote it for the same config."""
    if len(data) < _HEADER.size:
        raise ValueError(f"not a normaliser state: {len(data)} bytes")
    format_, config, checksum, text_length = _HEADER.unpack_from(data)
    if format_ != _FORMAT:
        raise ValueError("not a state of this version of the normaliser")
    if config != config_fingerprint:
        raise ValueError("the state of a stream with another config")
    body = data[_HEADER.size :]
    if zlib.crc32(body) != checksum:
        raise ValueError("a damaged state")
    try:
        return _memory(parsed(body[:text_length]), _Arrays(body, text_length), given)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a normaliser state: {error!r}") from error


class _Arrays:
    """Reads consecutive arrays from bytes. Raises ValueError if they end too early or hold invalid values."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self._offset = offset

    def mask(self) -> NDArray[np.bool_]:
        packed = self._numbers(np.dtype(np.uint8), (skeleton.JOINT_COUNT + 7) // 8)
        return np.unpackbits(packed, count=skeleton.JOINT_COUNT).astype(bool)

    def floats(self, *shape: int, kind: type[np.floating[Any]] = np.float32) -> NDArray[Any]:
        numbers = self._numbers(np.dtype(kind), math.prod(shape)).reshape(shape)
        if not (np.abs(numbers) <= _LARGEST_NUMBER).all():  # NaN is not
            raise ValueError(f"a state with numbers beyond {_LARGEST_NUMBER:g}")
        return numbers

    def end(self) -> None:
        if self._offset != len(self._data):
            raise ValueError(f"a state with {len(self._data) - self._offset} extra bytes")

    def _numbers(self, kind: np.dtype[Any], count: int) -> NDArray[Any]:
        numbers = np.frombuffer(self._data, kind, count, self._offset)
        self._offset += numbers.nbytes
        return numbers


def _memory(facts: dict[str, Any], arrays: _Arrays, given: BodyStats | None) -> Memory:
    if (facts["running"] is None) != (given is not None):
        raise ValueError("a state whose calibration does not match the config's source_body")
    running = None if facts["running"] is None else RunningBody.from_state(facts["running"])
    memory = Memory(
        SourceBody(given, running),
        sequence=_whole(facts["sequence"], -1),
        time_s=None if facts["time_s"] is None else _number(facts["time_s"]),
        size=None if facts["size"] is None else FrameSize(*(_whole(side_px, 1) for side_px in facts["size"])),
        easing=_easing(facts["easing"]),
        placing=facts["placing"] and _placing(facts["placing"]),
    )
    known = arrays.mask()
    count = int(known.sum())
    memory.joints.table[known] = _table(arrays.floats(count, 3))
    memory.joints.speed[known] = arrays.floats(count, 2)
    memory.joints.seen_at_s[known] = arrays.floats(count, kind=np.float64)
    if len(facts["past_s"]) > _PAST_FRAMES:
        raise ValueError(f"a state with {len(facts['past_s'])} past frames, expected at most {_PAST_FRAMES}")
    for time_s in facts["past_s"]:
        seen = arrays.mask()
        table = np.zeros((skeleton.JOINT_COUNT, 3), np.float32)
        table[seen] = _table(arrays.floats(int(seen.sum()), 3))
        memory.past.append((_number(time_s), table))
    arrays.end()
    _check_times(memory)
    return memory


def _check_times(memory: Memory) -> None:
    """Raise ValueError if the times in the state do not increase."""
    past_s = [time_s for time_s, _ in memory.past]
    newest_s = -math.inf if memory.time_s is None else memory.time_s
    if any(later <= earlier for earlier, later in pairwise(past_s)) or (past_s and past_s[-1] > newest_s):
        raise ValueError("a state whose times do not increase")
    if (memory.joints.seen_at_s[memory.joints.table[:, 2] > 0] > newest_s).any():
        raise ValueError("a state with joints that were seen later than its last frame")


def _placing_facts(placing: Placing) -> dict[str, Any]:
    wanted = _numbers(placing.wanted)
    wanted["transform"] = _numbers(placing.wanted.transform)
    return {"anchor": _numbers(placing.anchor), "wanted": wanted, "used": _numbers(placing.used)}


def _numbers(record: Any) -> dict[str, Any]:
    """Return a record's fields by name. `dataclasses.asdict` deep-copies each number: a fifth of a frame's time."""
    return {name: getattr(record, name) for name in record.__slots__}


def _placing(facts: dict[str, Any]) -> Placing:
    wanted = dict(facts["wanted"])
    transform = _transform(wanted.pop("transform"))
    ratio = _number(wanted.pop("depth_ratio"))
    flags = {entry.name for entry in fields(Retargeting)} - {"transform", "depth_ratio"}
    if set(wanted) != flags or not all(isinstance(value, bool) for value in wanted.values()):
        raise ValueError("a state whose placing has unknown fields")
    anchor = BodyMeasure(**{name: _number(value) for name, value in facts["anchor"].items()})
    return Placing(anchor, Retargeting(transform, ratio, **wanted), _transform(facts["used"]))


def _easing(facts: dict[str, Any]) -> Easing:
    easing = Easing(**{name: _number(value) for name, value in facts.items()})
    if not (-1e-6 <= easing.trust <= 1 + 1e-6 and abs(easing.log_scale) <= FARTHEST_LOG_SCALE):
        raise ValueError(f"a state with an invalid easing: {easing}")
    return easing


def _transform(facts: dict[str, Any]) -> Transform:
    transform = Transform(_number(facts["scale"]), _number(facts["foot_y"]), _number(facts["hip_x"]))
    if transform.scale <= 0:
        raise ValueError(f"a state with a scale of {transform.scale}, expected a positive one")
    return transform


def _table(rows: Table) -> Table:
    if not ((rows[:, 2] > 0) & (rows[:, 2] <= 1)).all():
        raise ValueError("a state with confidences outside (0, 1]")
    return rows


def _whole(value: Any, low: int) -> int:
    if type(value) is not int or not low <= value < 2**64:
        raise ValueError(f"a state with {shortened(value)}, expected an integer of at least {low}")
    return value


def _number(value: Any) -> float:
    number = float(value)
    if not abs(number) <= _LARGEST_NUMBER:  # NaN is not
        raise ValueError(f"a state with numbers beyond {_LARGEST_NUMBER:g}")
    return number
