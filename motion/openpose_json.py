"""OpenPose's `--write_json` files: one person's text to poses, a folder to frames, and back.

The layout is that of OpenPose's doc/02_output.md, versions 1.1 to 1.3: one file per frame,
`<video>_<12 digits>_keypoints.json`, with all people of the frame. Bodies of 25 or 18 (COCO) parts; faces and hands
where they were looked for. `x, y` are pixels of the source's frame, `0, 0, 0` is a joint that was not found.

A folder that we wrote also holds `dance_source.json`: the frames' size, rate and times, which OpenPose does not store.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.documents import BadDocument, Fields, parsed, read_bounded, told
from motion.frame import FrameSize
from motion.pose import Pose

VERSIONS: Final = (1.1, 1.2, 1.3)
WRITTEN_VERSION: Final = 1.3
SOURCE_FILE: Final = "dance_source.json"

_SUFFIX: Final = "_keypoints.json"
_NUMBER: Final = re.compile(r"(\d+)\D*$")
_COCO_PARTS: Final = 18
_BODY_KEY: Final = "pose_keypoints_2d"
_EXTRA_KEYS: Final = (
    ("face_keypoints_2d", skeleton.FACE),
    ("hand_left_keypoints_2d", skeleton.LEFT_HAND),
    ("hand_right_keypoints_2d", skeleton.RIGHT_HAND),
)
_UNUSED_KEYS: Final = (
    "pose_keypoints_3d", "face_keypoints_3d", "hand_left_keypoints_3d", "hand_right_keypoints_3d",
)  # fmt: skip
_FARTHEST_PX: Final = 1e6
_NO_NUMBER: Final = 1e30
_LARGEST_CONFIDENCE: Final = 2.0
"""Interpolated confidence maps overshoot 1 a little; what is above this is no confidence."""
_FRACTIONS_BELOW_PX: Final = 1.5
"""A whole clip within this many pixels was written with a keypoint_scale that gives fractions of the frame."""
_MOST_FRAMES: Final = 10_000_000
_MOST_BYTES: Final = 256 * 2**20
"""Of one file: `dance_source.json` has the times of all frames; at most 22 bytes each."""
_LATEST_PTS: Final = 2**62
_LARGEST_SIDE_PX: Final = 2**16
_FRACTION: Final = re.compile(r"[0-9]+([./][0-9]+)?")
_FRACTION_CHARACTERS: Final = 40


class BadKeypoints(ValueError):
    """A file or folder that is not as OpenPose writes it; the message names file and field, and what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class KeypointsPerson:
    """One person of one frame. person_id: from 1 on where the writer told people apart, else None."""

    pose: Pose
    person_id: int | None = None


@dataclass(frozen=True, slots=True)
class KeypointsFrame:
    """One frame. index: counts from 0. missing: there is no file for it, so nothing is known but that it exists."""

    index: int
    people: tuple[KeypointsPerson, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the keypoints were found in. size: of its frames. pts: each frame's time, in units of `time_base`."""

    size: FrameSize
    frame_rate: Fraction
    time_base: Fraction
    pts: tuple[int, ...] = ()

    def pts_of(self, index: int) -> int:
        """The time of a frame; where it is not stored, at an even rate behind the last that is."""
        if index < len(self.pts):
            return self.pts[index]
        step = 1 / (self.frame_rate * self.time_base)
        behind, since = (self.pts[-1], index - len(self.pts) + 1) if self.pts else (0, index)
        return behind + round(step * since)


def parse_poses(text: str | bytes, file: str = "keypoints") -> list[Pose]:
    """The poses of one file's text, in its order. Raises BadKeypoints; file: its name, for the message."""
    return [person.pose for person in parse_people(text, file)]


def parse_people(
    text: str | bytes, file: str = "keypoints", scale: tuple[float, float] = (1.0, 1.0)
) -> list[KeypointsPerson]:
    """The people of one file's text, in its order, with x and y multiplied by `scale`. Raises BadKeypoints."""
    try:
        document = parsed(text)
    except BadDocument as error:
        raise BadKeypoints(f"{file}: {error}") from error
    if not isinstance(document, dict):
        raise BadKeypoints(f"{file}: expected an object, got {_kind(document)}")
    version = document.get("version")
    if isinstance(version, bool) or not isinstance(version, int | float) or version not in VERSIONS:
        raise BadKeypoints(f"{file}: version: expected one of {', '.join(map(str, VERSIONS))}, got {_told(version)}")
    people = document.get("people")
    if not isinstance(people, list):
        raise BadKeypoints(f"{file}: people: expected a list, got {_kind(people)}")
    return [_person(entry, f"{file}: people[{index}]", scale) for index, entry in enumerate(people)]


def body_parts(text: str | bytes) -> set[int]:
    """How many parts the bodies of a file that `parse_people` accepts have: 25, 18 or both."""
    found = (_values(person, _BODY_KEY) for person in json.loads(text)["people"])
    return {len(values) // 3 for values in found if values}


def people_text(people: Sequence[KeypointsPerson], scale: tuple[float, float] = (1.0, 1.0)) -> str:
    """One frame as OpenPose 1.3 writes it, all 137 joints of each, with x and y multiplied by `scale`.

    `parse_people` with the inverse scale gives the very same numbers back.
    """
    entries = [
        {
            "person_id": [-1 if person.person_id is None else person.person_id],
            _BODY_KEY: _numbers(person.pose, skeleton.BODY, scale),
            **{key: _numbers(person.pose, part, scale) for key, part in _EXTRA_KEYS},
            **{key: [] for key in _UNUSED_KEYS},
        }
        for person in people
    ]
    return json.dumps({"version": WRITTEN_VERSION, "people": entries}, separators=(",", ":")) + "\n"


def file_name(video: str, index: int) -> str:
    """As OpenPose names the file of frame `index`, counted from 0, of a video whose name without suffix is `video`."""
    return f"{video}_{index:012d}{_SUFFIX}"


def read_folder(folder: Path, *, facts: SourceFacts | None = None, shrink_to_px: int | None = None) -> KeypointsFolder:
    """All frames of a folder, in their order. Raises BadKeypoints, naming the file and the field.

    facts: about the source, where they are known from elsewhere; else what the folder itself says. shrink_to_px: where
    the frames' size is known and their longer side is larger, poses are given in pixels of the frame shrunk to that.
    """
    if not folder.is_dir():
        raise BadKeypoints(f"{folder}: is no folder")
    facts = read_source_facts(folder) if facts is None else facts
    numbered = numbered_files(folder)
    scale = (1.0, 1.0)
    if facts is not None and shrink_to_px is not None:
        small = shrunk_size(facts.size, shrink_to_px)
        scale = small.width_px / facts.size.width_px, small.height_px / facts.size.height_px
    first, last = numbered[0][0], numbered[-1][0]
    if facts is not None and facts.pts:
        first, last = 0, max(last, len(facts.pts) - 1)
    by_number = dict(numbered)
    frames: list[KeypointsFrame] = []
    parts: dict[int, str] = {}
    farthest_px = 0.0
    for number in range(first, last + 1):
        path = by_number.get(number)
        if path is None:
            frames.append(KeypointsFrame(number - first, missing=True))
            continue
        text = _read(path)
        people = tuple(parse_people(text, path.name, scale))
        if people:
            for count in body_parts(text):
                parts.setdefault(count, path.name)
            farthest_px = max(farthest_px, *(float(np.abs(person.pose.joints_px).max()) for person in people))
        if len(parts) > 1:
            told = " and ".join(f"{count} parts in {name}" for count, name in sorted(parts.items()))
            raise BadKeypoints(f"{folder}: people[].{_BODY_KEY}: all bodies must have the same parts, got {told}")
        frames.append(KeypointsFrame(number - first, people))
    if parts and farthest_px <= _FRACTIONS_BELOW_PX:
        raise BadKeypoints(
            f"{folder}: all joints lie within {farthest_px:g} px of the corner: expected pixels of the source's frame, "
            "OpenPose's --keypoint_scale 0"
        )
    return KeypointsFolder(folder, tuple(frames), facts, scale)


@dataclass(frozen=True, slots=True)
class KeypointsFolder:
    """A folder that was read. facts: None where the folder does not know. scale: that the poses were multiplied by."""

    folder: Path
    frames: tuple[KeypointsFrame, ...]
    facts: SourceFacts | None
    scale: tuple[float, float] = (1.0, 1.0)

    @property
    def missing_frames(self) -> int:
        """Numbers without a file between the first and the last."""
        return sum(frame.missing for frame in self.frames)

    @property
    def ids_known(self) -> bool:
        """Whether every person of every frame has a number of its own."""
        for frame in self.frames:
            ids = [person.person_id for person in frame.people]
            if None in ids or len(set(ids)) < len(ids):
                return False
        return any(frame.people for frame in self.frames)


class KeypointsWriter:
    """Writes a folder, a file for each frame, and at its end what the frames were. An existing folder must be empty.

    video: the name in the files' names. size: of the source's frames. scale: from the poses' pixels to the source's.
    Raises BadKeypoints where the folder holds something already, OSError.
    """

    def __init__(self, folder: Path, video: str, facts: SourceFacts, scale: tuple[float, float] = (1.0, 1.0)) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadKeypoints(f"{folder} exists already and is not empty")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._video = video
        self._facts = facts
        self._scale = scale
        self._pts: list[int] = []

    def write(self, people: Sequence[KeypointsPerson], pts: int) -> None:
        """The next frame."""
        path = self.folder / file_name(self._video, len(self._pts))
        path.write_text(people_text(people, self._scale))
        self._pts.append(pts)

    def close(self) -> None:
        """Writes the frames' size, rate and times."""
        facts = self._facts
        document = {
            "width_px": facts.size.width_px,
            "height_px": facts.size.height_px,
            "frame_rate": str(facts.frame_rate),
            "time_base": str(facts.time_base),
            "pts": self._pts,
        }
        (self.folder / SOURCE_FILE).write_text(json.dumps(document) + "\n")


def read_source_facts(folder: Path) -> SourceFacts | None:
    """What `dance_source.json` says; None where there is none. Raises BadKeypoints for a damaged one."""
    path = folder / SOURCE_FILE
    if not path.is_file():
        return None
    try:
        stored = Fields.of(parsed(_read(path)))
        pts = stored.wholes("pts", -_LATEST_PTS, _LATEST_PTS)
        facts = SourceFacts(
            FrameSize(stored.whole("width_px", 1, _LARGEST_SIDE_PX), stored.whole("height_px", 1, _LARGEST_SIDE_PX)),
            parsed_fraction(stored.text("frame_rate", _FRACTION_CHARACTERS)),
            parsed_fraction(stored.text("time_base", _FRACTION_CHARACTERS)),
            pts,
        )
    except BadKeypoints:
        raise
    except ValueError as error:
        raise BadKeypoints(f"{path}: is not as `dance pose` writes it: {error}") from error
    if facts.frame_rate <= 0 or facts.time_base <= 0 or any(b <= a for a, b in pairwise(pts)):
        raise BadKeypoints(f"{path}: expected a positive frame_rate and time_base, and pts that rise")
    return facts


def parsed_fraction(text: str) -> Fraction:
    """Of "25", "29.97" or "30000/1001". Raises ValueError; `Fraction` itself takes years for "1e999999999"."""
    if len(text) > _FRACTION_CHARACTERS or not _FRACTION.fullmatch(text):
        raise ValueError(f"expected a number as 25, 29.97 or 30000/1001, got {told(text)}")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"expected a number, got {told(text)}, which divides by nothing") from None


def shrunk_size(size: FrameSize, max_side_px: int) -> FrameSize:
    """`size` itself, or smaller with its longer side at `max_side_px`."""
    scale = max_side_px / max(size.width_px, size.height_px)
    if scale >= 1:
        return size
    return FrameSize(max(1, round(size.width_px * scale)), max(1, round(size.height_px * scale)))


def _person(entry: Any, where: str, scale: tuple[float, float]) -> KeypointsPerson:
    if not isinstance(entry, dict):
        raise BadKeypoints(f"{where}: expected an object, got {_kind(entry)}")
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2))
    confidence = np.zeros(skeleton.JOINT_COUNT)
    body = _triples(entry, _BODY_KEY, where, (skeleton.BODY_COUNT, _COCO_PARTS))
    if len(body) == _COCO_PARTS:
        body = coco_to_body(body)
    _lay(joints_px, confidence, skeleton.BODY, body)
    for key, part in _EXTRA_KEYS:
        _lay(joints_px, confidence, part, _triples(entry, key, where, (part.stop - part.start,)))
    person_id = entry.get("person_id", [-1])
    if not isinstance(person_id, list) or len(person_id) != 1 or type(person_id[0]) is not int:
        raise BadKeypoints(f"{where}.person_id: expected a list of one whole number, got {_told(person_id)}")
    number = person_id[0] if person_id[0] >= 1 else None
    return KeypointsPerson(Pose((joints_px * scale).astype(np.float32), confidence.astype(np.float32)), number)


def _lay(joints_px: NDArray[Any], confidence: NDArray[Any], part: slice, triples: NDArray[np.float64]) -> None:
    if len(triples):
        joints_px[part], confidence[part] = triples[:, :2], triples[:, 2]


def _values(entry: Mapping[str, Any], key: str) -> Any:
    """The list below `key`; OpenPose before 1.2 left out the "_2d"."""
    return entry.get(key, entry.get(key.removesuffix("_2d"), []))


def _triples(entry: Mapping[str, Any], key: str, where: str, counts: tuple[int, ...]) -> NDArray[np.float64]:
    """`[N, 3]`: x, y, confidence; `[0, 3]` for a part that was not looked for."""
    values = _values(entry, key)
    field = f"{where}.{key}"
    if not isinstance(values, list):
        raise BadKeypoints(f"{field}: expected a list of numbers, got {_kind(values)}")
    if not values:
        return np.zeros((0, 3))
    if len(values) not in {3 * count for count in counts}:
        told = " or ".join(f"{3 * count} ({count} parts)" for count in counts)
        raise BadKeypoints(f"{field}: expected {told} numbers, got {len(values)}")
    for index, value in enumerate(values):
        # Python's JSON knows NaN, and whole numbers without end.
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _NO_NUMBER:
            raise BadKeypoints(f"{field}[{index}]: expected a number, got {_told(value)}")
    triples = np.array(values, np.float64).reshape(-1, 3)
    farthest_px = np.abs(triples[:, :2]).max()
    if farthest_px > _FARTHEST_PX:
        raise BadKeypoints(f"{field}: a joint lies {farthest_px:g} px away, at most {_FARTHEST_PX:g} are accepted")
    low, high = triples[:, 2].min(), triples[:, 2].max()
    if low < 0 or high > _LARGEST_CONFIDENCE:
        raise BadKeypoints(f"{field}: expected confidences in [0, 1], got {low if low < 0 else high:g}")
    triples[:, 2] = np.minimum(triples[:, 2], 1)
    triples[triples[:, 2] == 0] = 0
    return triples


def coco_to_body(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    """`[25, 3]` BODY_25 of `[18, 3]` COCO-18: mid-hip is the hips' middle, and there are no feet."""
    body = np.zeros((skeleton.BODY_COUNT, 3))
    to, source = np.array(skeleton.COCO18_TO_BODY).T
    body[to] = parts[source]
    right, left = body[skeleton.R_HIP], body[skeleton.L_HIP]
    if right[2] > 0 and left[2] > 0:
        body[skeleton.MID_HIP] = [*((right[:2] + left[:2]) / 2), min(right[2], left[2])]
    return body


def _numbers(pose: Pose, part: slice, scale: tuple[float, float]) -> list[float]:
    """x, y, confidence of each joint. An unscaled number has the fewest digits that give its 32 bits back."""
    triples = np.zeros((part.stop - part.start, 3))
    triples[:, :2] = pose.joints_px[part] * np.array(scale, np.float64)
    triples[:, 2] = pose.confidence[part]
    if scale == (1.0, 1.0):
        return [float(str(number)) for number in triples.astype(np.float32).ravel()]
    return [float(number) for number in triples.ravel()]


def numbered_files(folder: Path) -> list[tuple[int, Path]]:
    """Number and path of each file of keypoints, sorted; where a name has no number, they are counted by name.

    Raises BadKeypoints where there is none, for too many, and for two of one number.
    """
    paths = sorted(path for path in folder.iterdir() if path.name.endswith(_SUFFIX) and path.is_file())
    if not paths:
        raise BadKeypoints(f"{folder}: there is no file *{_SUFFIX} in it")
    if len(paths) > _MOST_FRAMES:
        raise BadKeypoints(f"{folder}: has {len(paths)} files, at most {_MOST_FRAMES} are read")
    found = [_NUMBER.search(path.name.removesuffix(_SUFFIX)) for path in paths]
    if not all(found):
        return list(enumerate(paths))
    numbered = sorted((int(match[1]), path) for match, path in zip(found, paths, strict=True) if match)
    for (number, path), (following, other) in pairwise(numbered):
        if number == following:
            raise BadKeypoints(f"{folder}: both {path.name} and {other.name} are frame {number}; expected one video")
    first, last = numbered[0][0], numbered[-1][0]
    if last - first >= 10 * len(numbered) + 100:
        # Numbers with such gaps count something else than frames.
        return list(enumerate(path for _, path in numbered))
    return numbered


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, _MOST_BYTES)
    except OSError as error:
        raise BadKeypoints(f"{path}: cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadKeypoints(f"{path}: {error}") from error


def _kind(value: Any) -> str:
    return "nothing" if value is None else type(value).__name__


def _told(value: Any) -> str:
    return "nothing" if value is None else repr(value)[:40]
