"""A folder or list of keypoints as the source of `dance transfer`: the poses of a video without its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from client.connection.types import PosedFrame
from client.errors import CommandError, UsageError
from client.media.frame_feed import FeedOptions, FileFeed
from client.media.overlay import blank, draw_people
from motion.clock import HIGHEST_RATE_HZ, LOWEST_RATE_HZ
from motion.frame import FrameSize, Picture
from motion.keypoint_files.folder import KeypointsFolder, known_frames, read_folder
from motion.keypoint_files.openpose_json import (
    BadKeypoints,
    SourceFacts,
    parsed_fraction,
    read_source_facts,
    shrunk_size,
)
from motion.people.dancer_choice import DancerChoice
from motion.people.person_tracking import DancerTracker, TrackedPeople
from motion.pose import Pose
from video.reader import SourceFrame

_TIME_BASE = Fraction(1, 90_000)


@dataclass(frozen=True, slots=True)
class GivenFacts:
    """Facts the user gave about the source's frames; None for those not given."""

    size: FrameSize | None = None
    frame_rate: Fraction | None = None


def parsed_size(text: str) -> FrameSize:
    """Parse "1280x720". Raises UsageError."""
    width, _, height = text.lower().partition("x")
    try:
        return FrameSize(int(width), int(height))
    except ValueError as error:
        raise UsageError(
            f"--frame-size: expected WIDTHxHEIGHT in pixels, for example 1280x720, got {text!r}"
        ) from error


def parsed_rate(text: str) -> Fraction:
    """Parse "25", "29.97" or "30000/1001". Raises UsageError."""
    try:
        rate = parsed_fraction(text)
    except ValueError:
        rate = Fraction(0)
    if not LOWEST_RATE_HZ <= rate <= HIGHEST_RATE_HZ:
        bounds = f"{LOWEST_RATE_HZ:g} to {HIGHEST_RATE_HZ:g}"
        raise UsageError(
            f"--frame-rate: expected frames a second, {bounds}, for example 25 or 30000/1001, got {text!r}"
        )
    return rate


class KeypointsReader:
    """The counterpart of `video.reader.VideoReader` for keypoints; reads and checks everything at once.

    Raises CommandError for a folder that cannot be used, naming the file and the field, and UsageError if neither the
    folder nor the user gives the frames' size or rate.
    """

    def __init__(self, source: str, given: GivenFacts) -> None:
        self.source = source
        self.notes: tuple[str, ...] = ()
        self._path = Path(source)
        try:
            self._given_facts = self._known_facts(given)
            self._folder = read_folder(self._path, facts=self._given_facts)
        except BadKeypoints as error:
            raise CommandError(str(error)) from error
        assert self._folder.facts is not None
        self._facts = self._folder.facts

    def _known_facts(self, given: GivenFacts) -> SourceFacts:
        known_frames(self._path)  # fail on a folder without frames before asking for their size
        stored = read_source_facts(self._path)
        if stored is None:
            if given.size is None:
                raise UsageError(f"{self.source} does not contain the size of its frames: add --frame-size")
            if given.frame_rate is None:
                raise UsageError(f"{self.source} does not contain its frame rate: add --frame-rate")
            return SourceFacts(given.size, given.frame_rate, _TIME_BASE)
        if given.frame_rate is not None:
            return SourceFacts(given.size or stored.size, given.frame_rate, _TIME_BASE)
        return replace(stored, size=given.size or stored.size)

    @property
    def size(self) -> FrameSize:
        """Size of the frames that the keypoints come from."""
        return self._facts.size

    @property
    def time_base(self) -> Fraction:
        """Unit of `pts_of`, in seconds."""
        return self._facts.time_base

    @property
    def frame_rate(self) -> Fraction:
        """Frames a second, on average."""
        return self._facts.frame_rate

    @property
    def frame_rate_hz(self) -> float:
        """`frame_rate` as a float."""
        return float(self._facts.frame_rate)

    @property
    def expected_frames(self) -> int:
        """Number of frames, including those without a file."""
        return len(self._folder.frames)

    @property
    def lost_frames(self) -> int:
        """Number of frames without a file; they count as frames without a person."""
        return self._folder.missing_frames

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the reader assumed about the frames, one line each for the user."""
        step, poses = self._folder.step, self.expected_frames - self.lost_frames
        if step > 1:
            every = f"{self.source} has poses of every {_ordinal(step)} frame"
            return (f"{every}: its {poses} poses follow at {self.frame_rate_hz:.4g} frames a second",)
        if self._folder.counted and poses > 1:
            order = "in the order of their names" if self._path.is_dir() else "in the order of the list"
            return (f"{self.source}: its {poses} frames are not numbered, so they are taken {order}",)
        return ()

    def shrunk(self, max_side_px: int) -> tuple[KeypointsFolder, FrameSize]:
        """The frames with their joints scaled to a frame of at most `max_side_px`, and the size of that frame."""
        folder = self._folder
        if shrunk_size(self.size, max_side_px) != self.size:
            folder = read_folder(self._path, facts=self._given_facts, shrink_to_px=max_side_px)
        return folder, shrunk_size(self.size, max_side_px)

    def pts_of(self, index: int) -> int:
        """Presentation time of a frame, in units of `time_base`."""
        return self._facts.pts_of(index)

    def close(self) -> None:
        """Do nothing: no file is held open."""

    def __enter__(self) -> KeypointsReader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True, eq=False)
class KeypointsShown:
    """One frame: its people, their identities, and its presentation time."""

    index: int
    pts: int
    seconds: float
    people: tuple[Pose, ...]
    who: TrackedPeople


def followed_frames(reader: KeypointsReader, choice: DancerChoice, max_side_px: int) -> Iterator[KeypointsShown]:
    """Every frame of a folder, with the dancer chosen among its people.

    If every person has a number in the file, these numbers are kept; otherwise the people are tracked here. If no frame
    has more than one person, that person is always the dancer, however far apart in time and place.
    """
    folder, size = reader.shrunk(max_side_px)
    tracker = DancerTracker(choice)
    ids_known = folder.ids_known
    alone = not ids_known and folder.most_people == 1
    for frame in folder.frames:
        pts = reader.pts_of(frame.index)
        seconds = max(0.0, float(pts * reader.time_base))
        people = [person.pose for person in frame.people]
        ids = [person.person_id or 0 for person in frame.people] if ids_known else [1] * len(people) if alone else None
        who = tracker.track(people, size, seconds, ids)
        yield KeypointsShown(frame.index, pts, seconds, tuple(people[index] for index in who.kept), who)


def drawn(shown: KeypointsShown, size: FrameSize) -> Picture:
    """Draw the people of a frame on an empty picture."""
    return draw_people(blank(size), shown.people, shown.who.person_ids, shown.who.dancer_index)


class KeypointsFeed(FileFeed):
    """Every frame of a folder, in order, as an async iterator of `PosedFrame`. `Shot.pixels` are drawn skeletons.

    lost: number of frames without the dancer. changed: how often another dancer was chosen.
    """

    def __init__(self, reader: KeypointsReader, options: FeedOptions, choice: DancerChoice) -> None:
        super().__init__(iter(()), options)
        self._shown = followed_frames(reader, choice, options.max_side_px)
        self._size = shrunk_size(reader.size, options.max_side_px)
        if self._size != reader.size:
            self.shrunk_from = (reader.size.width_px, reader.size.height_px)
        self._empty = blank(FrameSize(1, 1))
        self.lost = self.changed = 0

    def _prepare_next(self) -> tuple[SourceFrame, PosedFrame, Picture] | None:
        shown = next(self._shown, None)
        if shown is None:
            return None
        self.lost += shown.who.lost
        self.changed += shown.who.changed
        pixels = drawn(shown, self._size) if self._options.keep_pixels else self._empty
        dancer = shown.people[shown.who.dancer_index] if shown.who.dancer_index >= 0 else None
        posed = PosedFrame(shown.index, dancer, self._size, shown.seconds)
        return SourceFrame(shown.index, shown.pts, shown.seconds, pixels), posed, pixels


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
