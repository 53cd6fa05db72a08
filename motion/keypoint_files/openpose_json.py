"""Convert one frame of OpenPose's `--write_json` files to poses and back. For whole clips, see
`motion/keypoint_files/folder.py`.

The layout follows OpenPose's doc/02_output.md, versions 1.1 to 1.3: one file per frame,
`<video>_<12 digits>_keypoints.json`, with all people of the frame. Bodies have 25 or 18 (COCO) parts; faces and hands
are present if they were detected. `x, y` are pixels of the source's frame; `0, 0, 0` means "not found".

Other programs write slight variations, which are read if they are unambiguous: no version, null for missing parts or
joints, bodies of 17 (COCO) and 26 (Halpe) parts, faces of 68 points.

A folder that we write also holds `dance_source.json` with the frames' size, rate and times, which OpenPose does not
store.
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
from motion.documents import BadDocument, Fields, is_number, parsed, read_bounded, shortened
from motion.frame import FrameSize
from motion.pose import Pose, body_25

_VERSIONS: Final = (1.1, 1.2, 1.3)
_OTHER_VERSIONS: Final = (0.1,)
"""AlphaPose's version of the same layout."""
_WRITTEN_VERSION: Final = 1.3
SOURCE_FILE: Final = "dance_source.json"

FILE_SUFFIX: Final = "_keypoints.json"
BODY_KEY: Final = "pose_keypoints_2d"
_BODY_COUNTS: Final = (skeleton.BODY_COUNT, *skeleton.OTHER_BODIES)
_FACE_COUNTS: Final = (skeleton.FACE_COUNT, skeleton.FACE_COUNT - 2)
"""With pupils, or iBUG's 68 points without them."""
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
"""Interpolated confidence maps overshoot 1 slightly; anything above this limit is not a confidence."""
_MOST_BYTES: Final = 256 * 2**20
"""Size limit of one file. `dance_source.json` holds the times of all frames, at most 22 bytes each."""
_LATEST_PTS: Final = 2**62
_LARGEST_SIDE_PX: Final = 2**16
_FRACTION: Final = re.compile(r"[0-9]+([./][0-9]+)?")
_FRACTION_CHARACTERS: Final = 40


class BadKeypoints(ValueError):
    """A file or folder is not in OpenPose's format. The message names the file, the field and what was expected."""


@dataclass(frozen=True, slots=True, eq=False)
class KeypointsPerson:
    """One person in one frame.

    person_id: from 1, or None if the file does not identify people. parts: number of body parts in the file, before
    conversion to BODY_25; 0 without a body.
    """

    pose: Pose
    person_id: int | None = None
    parts: int = skeleton.BODY_COUNT


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """The video the keypoints come from. size: of its frames. pts: each frame's time in units of `time_base`."""

    size: FrameSize
    frame_rate: Fraction
    time_base: Fraction
    pts: tuple[int, ...] = ()

    def pts_of(self, index: int) -> int:
        """Return a frame's time; times that are not stored continue at an even rate after the last stored one."""
        if index < len(self.pts):
            return self.pts[index]
        step = 1 / (self.frame_rate * self.time_base)
        last, frames_after = (self.pts[-1], index - len(self.pts) + 1) if self.pts else (0, index)
        return last + round(step * frames_after)


def parse_people(
    text: str | bytes, file: str = "keypoints", scale: tuple[float, float] = (1.0, 1.0)
) -> list[KeypointsPerson]:
    """Parse the people of one file, in its order, with x and y multiplied by `scale`. Raises BadKeypoints.

    file: its name, for messages.
    """
    return people_of(parsed_json(text, file), file, scale)


def parsed_json(text: str | bytes, file: str) -> Any:
    """Parse a file's JSON. Raises BadKeypoints."""
    try:
        return parsed(text)
    except BadDocument as error:
        raise BadKeypoints(f"{file}: {error}") from error


def people_of(document: Any, file: str, scale: tuple[float, float]) -> list[KeypointsPerson]:
    """Return the people of one frame's document, as `parse_people` does. Raises BadKeypoints."""
    if not isinstance(document, dict):
        raise BadKeypoints(f"{file}: expected an object, got {shortened(document)}")
    version = document.get("version")
    if version is not None and str(version) not in map(str, (*_VERSIONS, *_OTHER_VERSIONS)):
        raise BadKeypoints(
            f"{file}: version: expected one of {', '.join(map(str, _VERSIONS))}, got {shortened(version)}"
        )
    people = document.get("people")
    if not isinstance(people, list):
        has = f"; the object has {', '.join(map(str, document))[:80]}" if people is None and document else ""
        raise BadKeypoints(f"{file}: people: expected a list, got {shortened(people)}{has}")
    return [person_of(entry, f"{file}: people[{index}]", scale) for index, entry in enumerate(people)]


def people_text(people: Sequence[KeypointsPerson], scale: tuple[float, float] = (1.0, 1.0)) -> str:
    """Format one frame as OpenPose 1.3 does, with all 137 joints per person and x and y multiplied by `scale`.

    `parse_people` with the inverse scale restores exactly the same numbers.
    """
    entries = [
        {
            "person_id": [-1 if person.person_id is None else person.person_id],
            BODY_KEY: _numbers(person.pose, skeleton.BODY, scale),
            **{key: _numbers(person.pose, part, scale) for key, part in _EXTRA_KEYS},
            **{key: [] for key in _UNUSED_KEYS},
        }
        for person in people
    ]
    return json.dumps({"version": _WRITTEN_VERSION, "people": entries}, separators=(",", ":")) + "\n"


def file_name(video: str, index: int) -> str:
    """Return OpenPose's file name for frame `index`, from 0. video: the video's name without suffix."""
    return f"{video}_{index:012d}{FILE_SUFFIX}"


class KeypointsWriter:
    """Writes a folder with one file per frame, and finally the facts about the source.

    video: used in the files' names. scale: from the poses' pixels to the source's. Raises OSError, and BadKeypoints if
    the folder exists and is not empty.
    """

    def __init__(self, folder: Path, video: str, facts: SourceFacts, scale: tuple[float, float] = (1.0, 1.0)) -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadKeypoints(f"{folder} already exists and is not empty")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._video = video
        self._facts = facts
        self._scale = scale
        self._pts: list[int] = []

    def write(self, people: Sequence[KeypointsPerson], pts: int) -> None:
        """Write the next frame."""
        path = self.folder / file_name(self._video, len(self._pts))
        path.write_text(people_text(people, self._scale))
        self._pts.append(pts)

    def close(self) -> None:
        """Write the frames' size, rate and times."""
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
    """Read `dance_source.json`; None if there is no such file. Raises BadKeypoints if it is damaged."""
    path = folder / SOURCE_FILE
    if not path.is_file():
        return None
    try:
        stored = Fields.of(parsed(read_file(path)))
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
        raise BadKeypoints(f"{path}: was not written by `dance pose`: {error}") from error
    if facts.frame_rate <= 0 or facts.time_base <= 0 or any(b <= a for a, b in pairwise(pts)):
        raise BadKeypoints(f"{path}: expected a positive frame_rate and time_base, and rising pts")
    return facts


def parsed_fraction(text: str) -> Fraction:
    """Parse "25", "29.97" or "30000/1001". Raises ValueError; `Fraction` itself would take years for "1e999999999"."""
    if len(text) > _FRACTION_CHARACTERS or not _FRACTION.fullmatch(text):
        raise ValueError(f"expected a number such as 25, 29.97 or 30000/1001, got {shortened(text)}")
    try:
        return Fraction(text)
    except ZeroDivisionError:
        raise ValueError(f"expected a number, got {shortened(text)}, which divides by zero") from None


def shrunk_size(size: FrameSize, max_side_px: int) -> FrameSize:
    """Return `size`, scaled down if needed so that its longer side is at most `max_side_px`."""
    scale = max_side_px / max(size.width_px, size.height_px)
    if scale >= 1:
        return size
    return FrameSize(max(1, round(size.width_px * scale)), max(1, round(size.height_px * scale)))


def person_of(entry: Any, where: str, scale: tuple[float, float]) -> KeypointsPerson:
    """Convert one entry of `people`. where: file and field, for messages. Raises BadKeypoints."""
    if not isinstance(entry, dict):
        raise BadKeypoints(f"{where}: expected an object, got {shortened(entry)}")
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2))
    confidence = np.zeros(skeleton.JOINT_COUNT)
    body = _triples(entry, BODY_KEY, where, _BODY_COUNTS)
    other = skeleton.OTHER_BODIES.get(len(body))
    _lay(joints_px, confidence, skeleton.BODY, body if other is None else body_25(body, *other))
    for key, part in _EXTRA_KEYS:
        counts = _FACE_COUNTS if part is skeleton.FACE else (part.stop - part.start,)
        found = _triples(entry, key, where, counts)
        _lay(joints_px, confidence, slice(part.start, part.start + len(found)), found)
    person_id = entry.get("person_id")
    numbers = person_id if isinstance(person_id, list) else [-1 if person_id is None else person_id]
    if len(numbers) != 1 or type(numbers[0]) is not int:
        raise BadKeypoints(f"{where}.person_id: expected a list of one whole number, got {shortened(person_id)}")
    number = numbers[0] if numbers[0] >= 1 else None
    pose = Pose((joints_px * scale).astype(np.float32), confidence.astype(np.float32))
    return KeypointsPerson(pose, number, len(body))


def _lay(joints_px: NDArray[Any], confidence: NDArray[Any], part: slice, triples: NDArray[np.float64]) -> None:
    if len(triples):
        joints_px[part], confidence[part] = triples[:, :2], triples[:, 2]


def _triples(entry: Mapping[str, Any], key: str, where: str, counts: tuple[int, ...]) -> NDArray[np.float64]:
    """Return x, y and confidence as `[N, 3]`; `[0, 3]` for a missing part."""
    values = entry.get(key, entry.get(key.removesuffix("_2d")))  # OpenPose before 1.2 omits the "_2d"
    field = f"{where}.{key}"
    if values is None or values == []:
        return np.zeros((0, 3))
    if not isinstance(values, list):
        raise BadKeypoints(f"{field}: expected a list of numbers, got {shortened(values)}")
    if len(values) not in {3 * count for count in counts}:
        expected = " or ".join(f"{3 * count} ({count} parts)" for count in counts)
        raise BadKeypoints(f"{field}: expected {expected} numbers, got {len(values)}")
    if None in values:  # some editors write null for all three numbers of a missing joint
        joints = (values[first : first + 3] for first in range(0, len(values), 3))
        values = [number for joint in joints for number in ([0, 0, 0] if joint == [None] * 3 else joint)]
    for index, value in enumerate(values):
        if not is_number(value) or not abs(value) < _NO_NUMBER:
            raise BadKeypoints(f"{field}[{index}]: expected a number, got {shortened(value)}")
    triples = np.array(values, np.float64).reshape(-1, 3)
    farthest_px = np.abs(triples[:, :2]).max()
    if farthest_px > _FARTHEST_PX:
        raise BadKeypoints(f"{field}: a joint is {farthest_px:g} px away, at most {_FARTHEST_PX:g} are accepted")
    low, high = triples[:, 2].min(), triples[:, 2].max()
    if low < 0 or high > _LARGEST_CONFIDENCE:
        raise BadKeypoints(f"{field}: expected confidences in [0, 1], got {low if low < 0 else high:g}")
    triples[:, 2] = np.minimum(triples[:, 2], 1)
    triples[triples[:, 2] == 0] = 0
    return triples


def _numbers(pose: Pose, part: slice, scale: tuple[float, float]) -> list[float]:
    """Return x, y and confidence of each joint; unscaled numbers have the fewest digits that preserve their 32 bits."""
    triples = np.zeros((part.stop - part.start, 3))
    triples[:, :2] = pose.joints_px[part] * np.array(scale, np.float64)
    triples[:, 2] = pose.confidence[part]
    if scale == (1.0, 1.0):
        return [float(str(number)) for number in triples.astype(np.float32).ravel()]
    return [float(number) for number in triples.ravel()]


def read_file(path: Path) -> bytes:
    """Read a whole file. Raises BadKeypoints."""
    try:
        return read_bounded(path, _MOST_BYTES)
    except OSError as error:
        raise BadKeypoints(f"{path}: cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadKeypoints(f"{path}: {error}") from error
