"""Poses of a whole clip: a folder of OpenPose files, one per frame, or one file with a list.

A list has either one entry per detection, as AlphaPose and COCO write it, or one entry per frame in OpenPose's format.
A detection's `image_id` holds the frame's number; in a picture's name the last number counts.

Numbers count the source's frames. If they rise by a constant step, such as 0, 3, 6, only every third frame was
analysed: those frames are the clip, at a third of its rate. Other missing numbers are frames with unknown content.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from motion.documents import shortened
from motion.keypoint_files.openpose_json import (
    BODY_KEY,
    FILE_SUFFIX,
    BadKeypoints,
    KeypointsPerson,
    SourceFacts,
    parse_people,
    parsed_json,
    people_of,
    person_of,
    read_file,
    read_source_facts,
    shrunk_size,
)

LIST_SUFFIX: Final = ".json"

_NUMBER: Final = re.compile(r"(\d+)\D*$")
_MEDIA_SUFFIX: Final = re.compile(
    r"\.(?:mp[1-4]|m[124]v|m2ts?|mpeg[1-4]|f4v|3gp?[2p]|[hx]\.?26[1-6]|vp[89]|av1|jp[2x]|j2k)(?![a-z0-9])",
    re.IGNORECASE,
)
"""Suffixes whose digit is not a frame number, as in `frame_0.mp4.jpg`."""
_FRACTIONS_BELOW_PX: Final = 1.5
"""If all joints are within this many pixels, they are fractions of the frame, written with another keypoint_scale."""
_MOST_FRAMES: Final = 10_000_000
_FEWEST_FOR_A_STEP: Final = 3
"""Two numbers always have a constant step."""
_HIDDEN: Final = (".", "~", "#")
"""Prefixes of files that systems and editors create, such as macOS's ._a_keypoints.json."""

Scale = tuple[float, float]


@dataclass(frozen=True, slots=True)
class KeypointsFrame:
    """One frame. index: counts from 0. missing: the frame has no file, so its content is unknown."""

    index: int
    people: tuple[KeypointsPerson, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class KnownFrame:
    """A frame with known poses. number: counts the source's frames. name: the frame's file or entry, for messages.

    people: reads the people, with x and y multiplied by a scale. Raises BadKeypoints.
    """

    number: int
    name: str
    people: Callable[[Scale], list[KeypointsPerson]]


@dataclass(frozen=True, slots=True)
class KnownFrames:
    """The frames in a folder or list, at least one, by rising number.

    step: between the numbers of analysed frames; 1 if all were. counted: the names had no frame numbers, so frames are
    counted from 0. names_people_only: a frame that is not listed has no people; otherwise its content is unknown.
    """

    path: Path
    frames: tuple[KnownFrame, ...]
    step: int = 1
    counted: bool = False
    names_people_only: bool = False

    @property
    def numbers(self) -> list[int]:
        """The numbers of the frames with known poses."""
        return [frame.number for frame in self.frames]


def is_keypoints(path: Path) -> bool:
    """Whether a source with this path is keypoints rather than a video."""
    return path.is_dir() or path.suffix.lower() == LIST_SUFFIX


def keypoint_files(path: Path) -> list[Path]:
    """Return a folder's keypoint files by name, without hidden files; or the path itself if it is a list."""
    if not path.is_dir():
        return [path]
    return sorted(
        file
        for file in path.iterdir()
        if file.name.endswith(FILE_SUFFIX) and not file.name.startswith(_HIDDEN) and file.is_file()
    )


def known_frames(path: Path) -> KnownFrames:
    """Find the frames of a folder or a list; a folder's files are not read yet.

    Raises BadKeypoints for no frames, too many frames, two frames with the same number, and lists of other content.
    """
    if not path.is_dir() and path.suffix.lower() == LIST_SUFFIX:
        return _listed(path)
    if not path.is_dir():
        raise BadKeypoints(f"{path} is neither a folder nor a {LIST_SUFFIX} list")
    files = keypoint_files(path)
    if not files:
        raise BadKeypoints(f"{path} contains no *{FILE_SUFFIX} file")
    numbers = [_number_of(file.name.removesuffix(FILE_SUFFIX)) for file in files]
    named = [file for file, number in zip(files, numbers, strict=True) if number is None]
    if named and len(named) < len(files):
        raise BadKeypoints(f"{path}: {named[0].name} has no number, but {len(files) - len(named)} other files do")
    frames = [_of_file(number, file) for number, file in zip(numbers, files, strict=True)]
    return _arranged(path, frames, counted=bool(named))


def read_folder(path: Path, *, facts: SourceFacts | None = None, shrink_to_px: int | None = None) -> KeypointsFolder:
    """Read all frames of a folder or list, in order. Raises BadKeypoints, naming the file and the field.

    facts: the source's facts, if known; by default those stored in the folder. shrink_to_px: if the frames' size is
    known, poses are scaled to pixels of a frame whose longer side is at most this.
    """
    known = known_frames(path)
    facts = read_source_facts(path) if facts is None else facts
    scale = (1.0, 1.0)
    if facts is not None and shrink_to_px is not None:
        small = shrunk_size(facts.size, shrink_to_px)
        scale = small.width_px / facts.size.width_px, small.height_px / facts.size.height_px
    first, last = known.numbers[0], known.numbers[-1]
    if facts is not None and facts.pts and known.step == 1:
        first, last = 0, max(last, len(facts.pts) - 1)
    by_number = {frame.number: frame for frame in known.frames}
    numbers = range(first, last + 1, known.step)
    frames: list[KeypointsFrame] = []
    parts: dict[int, str] = {}
    farthest_px = 0.0
    for index, number in enumerate(numbers):
        frame = by_number.get(number)
        if frame is None:
            frames.append(KeypointsFrame(index, missing=not known.names_people_only))
            continue
        people = tuple(frame.people(scale))
        for person in people:
            parts.setdefault(person.parts, frame.name)
            farthest_px = max(farthest_px, float(np.abs(person.pose.joints_px).max()))
        parts.pop(0, None)
        if len(parts) > 1:
            found = " and ".join(f"{count} parts in {name}" for count, name in sorted(parts.items()))
            raise BadKeypoints(f"{path}: people[].{BODY_KEY}: all bodies must have the same parts, got {found}")
        frames.append(KeypointsFrame(index, people))
    if parts:
        check_pixels(str(path), farthest_px)
    if facts is not None and known.step > 1:
        pts = tuple(facts.pts_of(number) for number in numbers) if facts.pts else ()
        facts = replace(facts, frame_rate=facts.frame_rate / known.step, pts=pts)
    return KeypointsFolder(path, tuple(frames), facts, scale, known.step, known.counted)


def check_pixels(where: str, farthest_px: float) -> None:
    """Raise BadKeypoints if the farthest joint is so near to the corner that positions must be fractions."""
    if farthest_px <= _FRACTIONS_BELOW_PX:
        raise BadKeypoints(
            f"{where}: all joints lie within {farthest_px:g} px of the corner: expected pixels of the source's frame, "
            "as OpenPose writes with --keypoint_scale 0"
        )


@dataclass(frozen=True, slots=True)
class KeypointsFolder:
    """The content of a folder or list. scale: the poses were multiplied by it. step, counted: as in `KnownFrames`.

    facts: of these frames, so with a step of 3 the rate is a third of the source's; None if unknown.
    """

    folder: Path
    frames: tuple[KeypointsFrame, ...]
    facts: SourceFacts | None
    scale: Scale = (1.0, 1.0)
    step: int = 1
    counted: bool = False

    @property
    def missing_frames(self) -> int:
        """The number of frames between the first and the last that have no file."""
        return sum(frame.missing for frame in self.frames)

    @property
    def ids_known(self) -> bool:
        """Whether every person in every frame has a distinct number."""
        for frame in self.frames:
            ids = [person.person_id for person in frame.people]
            if None in ids or len(set(ids)) < len(ids):
                return False
        return any(frame.people for frame in self.frames)

    @property
    def most_people(self) -> int:
        """The largest number of people in any frame."""
        return max((len(frame.people) for frame in self.frames), default=0)


def _number_of(name: str) -> int | None:
    found = _NUMBER.search(_MEDIA_SUFFIX.sub("", name))
    return int(found[1]) if found else None


def _of_file(number: int | None, path: Path) -> KnownFrame:
    return KnownFrame(number or 0, path.name, lambda scale: parse_people(read_file(path), path.name, scale))


def _arranged(path: Path, frames: Sequence[KnownFrame], *, counted: bool) -> KnownFrames:
    """Order the frames by their numbers, which must differ; by position if the numbers do not count frames."""
    if len(frames) > _MOST_FRAMES:
        raise BadKeypoints(f"{path} has {len(frames)} frames, at most {_MOST_FRAMES} are read")
    if not counted:
        frames = sorted(frames, key=lambda frame: frame.number)
        for one, other in pairwise(frames):
            if one.number == other.number:
                raise BadKeypoints(
                    f"{path}: both {one.name} and {other.name} are frame {one.number}; expected one video, "
                    "and the frame's number last in each name"
                )
        numbers = [frame.number for frame in frames]
        step = math.gcd(*(b - a for a, b in pairwise(numbers))) if len(numbers) >= _FEWEST_FOR_A_STEP else 1
        # Numbers with wide, uneven gaps count something other than frames.
        counted = (numbers[-1] - numbers[0]) // step >= 10 * len(numbers) + 100
    if counted:
        return KnownFrames(path, tuple(replace(frame, number=place) for place, frame in enumerate(frames)), 1, True)
    return KnownFrames(path, tuple(frames), step)


def _listed(path: Path) -> KnownFrames:
    entries = parsed_json(read_file(path), path.name)
    if not isinstance(entries, list) or not entries:
        what = "an empty list" if entries == [] else shortened(entries)
        if isinstance(entries, dict) and "people" in entries:
            what = "one frame: pass its folder instead"
        raise BadKeypoints(f"{path}: expected a list of AlphaPose detections or OpenPose frames, got {what}")
    if all(isinstance(entry, dict) and "people" in entry for entry in entries):
        frames = [
            KnownFrame(place, where := f"{path.name}: [{place}]", partial(people_of, entry, where))
            for place, entry in enumerate(entries)
        ]
        return _arranged(path, frames, counted=True)
    by_image: dict[int | str, list[tuple[str, Any]]] = {}
    numbers: dict[int | str, int] = {}
    for place, entry in enumerate(entries):
        where = f"{path.name}: [{place}]"
        if not isinstance(entry, dict) or "keypoints" not in entry or "image_id" not in entry:
            got = ", ".join(map(str, entry))[:80] if isinstance(entry, dict) else shortened(entry)
            raise BadKeypoints(f"{where}: expected an object with image_id and keypoints, got {got or 'an empty one'}")
        image = entry["image_id"]
        number = image if type(image) is int else _number_of(Path(image).name) if isinstance(image, str) else None
        if number is None or number < 0:
            raise BadKeypoints(f"{where}.image_id: expected a frame number or a name with one, got {image!r}")
        numbers[image] = number
        by_image.setdefault(image, []).append((where, entry["keypoints"]))
    frames = [_of_detections(numbers[image], image, detections) for image, detections in by_image.items()]
    arranged = _arranged(path, frames, counted=False)
    return replace(arranged, names_people_only=True)


def _of_detections(number: int, image: int | str, detections: Sequence[tuple[str, Any]]) -> KnownFrame:
    def people(scale: Scale) -> list[KeypointsPerson]:
        return [person_of({BODY_KEY: keypoints}, where, scale) for where, keypoints in detections]

    return KnownFrame(number, f"image_id {image!r}", people)
