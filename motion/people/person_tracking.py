"""Person tracking: every person in a video keeps a number, and one of them stays the dancer.

The detections of a frame are matched to the existing tracks by optimal assignment (the Hungarian method) on the OKS
between a track's predicted pose and a detected pose. Lost tracks are remembered for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from motion import skeleton
from motion.frame import FrameSize
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.pose import Pose
from motion.pose_metrics import DEVIATIONS, body_size_px

Floats = NDArray[np.float64]

_ASSUMED_STEP_SECONDS: Final = 0.04
"""Assumed time between two frames without known times."""
_LONGEST_STEP_SECONDS: Final = 1.0
_SPEED_MEMORY: Final = 0.7
"""Weight of the previous speed in the speed estimate."""
_COASTING_SECONDS: Final = 0.5
"""How long a lost person's track keeps moving at its last speed; people do not walk straight for longer."""
_IN_SIGHT_SECONDS: Final = 0.2
"""Tracks seen this recently are matched before tracks that were lost earlier."""
_ORDINARY_ROOM: Final = 2.0
"""How far a joint may be from its predicted place between two frames, in multiples of its OKS deviation."""
_ROOM_PER_SECOND: Final = 4.0
"""How much that tolerance grows per second out of sight."""
_SIZE_KEPT_PER_SECOND: Final = 0.7
"""If less of a body is visible than before, its previous size is kept, shrinking by this factor per second."""
_LEAST_DEVIATION: Final = 0.07
"""Lower bound of the deviations: eyes are located precisely, but move as fast as the rest of the body."""
_CLOCK_SECONDS: Final = 1e-6
"""Tolerance for times rounded to nanoseconds in transit, so that rounding does not decide when a track ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrackingRules:
    """How people are matched between frames, and which detections count as people. Raises ValueError if invalid."""

    min_similarity: float = 0.15
    """A detection less similar than this (OKS with room for movement) is a different person."""
    remember_seconds: float = 3.0
    """A person who returns within this time near their last position keeps their number. After it they get a new one,
    and the dancer is chosen again."""
    confirm_confidence: float = 0.45
    """A new person with a lower mean confidence counts only after `confirm_frames` frames, because false detections
    usually disappear in the next frame."""
    confirm_frames: int = 6

    def __post_init__(self) -> None:
        if self.confirm_frames < 1:
            raise ValueError(f"confirm_frames must be at least 1, got {self.confirm_frames}")
        if not 0 < self.min_similarity < 1:
            raise ValueError(f"min_similarity must lie between 0 and 1, got {self.min_similarity}")
        if not self.remember_seconds >= 0:
            raise ValueError(f"remember_seconds cannot be negative, got {self.remember_seconds}")


@dataclass(slots=True)
class _Track:
    """A tracked person. person_id: 0 until the person is confirmed.

    joints_px: `[25, 2]`, each body joint's last seen position, moved since with the whole body. known: `[25]`, which
    joints were ever seen.
    """

    person_id: int
    joints_px: Floats
    known: NDArray[np.bool_]
    size_px: float
    speed_px_s: Floats = field(default_factory=lambda: np.zeros(2))
    unseen_seconds: float = 0.0
    sightings: int = 0

    def predict(self, step_seconds: float) -> None:
        """Advance the track by one frame."""
        if self.unseen_seconds < _COASTING_SECONDS:
            self.joints_px = self.joints_px + self.speed_px_s * step_seconds
        self.unseen_seconds += step_seconds

    def similarity(self, pose: Pose) -> float:
        """Return the OKS with room for movement over the joints that both have; 0 without any."""
        both = self.known & pose.seen[skeleton.BODY]
        if not both.any():
            return 0.0
        room = _ORDINARY_ROOM + _ROOM_PER_SECOND * self.unseen_seconds
        size_px = max(self.size_px, body_size_px(pose), 1.0)
        apart_px = pose.joints_px[skeleton.BODY][both] - self.joints_px[both]
        allowed = 2 * np.maximum(DEVIATIONS[both], _LEAST_DEVIATION) * size_px * room
        deviations = np.hypot(apart_px[:, 0], apart_px[:, 1]) / allowed
        return float(np.exp(-(deviations**2) / 2).mean())

    def see(self, pose: Pose, step_seconds: float) -> None:
        """Update the track with the pose matched to it, after `predict`."""
        seen = pose.seen[skeleton.BODY]
        found_px = pose.joints_px[skeleton.BODY].astype(np.float64)
        both = seen & self.known
        if both.any():
            # The median ignores joints that were confused with others.
            missed_px = np.median(found_px[both] - self.joints_px[both], axis=0)
            self.joints_px = self.joints_px + missed_px
            if self.unseen_seconds > _IN_SIGHT_SECONDS:
                self.speed_px_s = np.zeros(2)
            elif step_seconds > 0:
                self.speed_px_s = self.speed_px_s + (1 - _SPEED_MEMORY) * missed_px / step_seconds
        self.joints_px[seen] = found_px[seen]
        self.known = self.known | seen
        self.size_px = max(body_size_px(pose), self.size_px * _SIZE_KEPT_PER_SECOND**step_seconds)
        self.unseen_seconds = 0.0
        self.sightings += 1


class PeopleTracker:
    """Assigns every person in a video a lasting number, from 1. Numbers are never reused.

    Unconfirmed people have the number 0.
    """

    def __init__(self, rules: TrackingRules) -> None:
        self._rules = rules
        self._tracks: list[_Track] = []
        self._last_id = 0

    def update(self, people: Sequence[Pose], step_seconds: float) -> list[int]:
        """Return the numbers of the next frame's people, in their order. step_seconds: since the previous frame."""
        for track in self._tracks:
            track.predict(step_seconds)
        in_sight_seconds = max(_IN_SIGHT_SECONDS, step_seconds)
        limit_seconds = self._rules.remember_seconds + _CLOCK_SECONDS
        self._tracks = [
            track
            for track in self._tracks
            if track.unseen_seconds <= (limit_seconds if track.person_id else in_sight_seconds)
        ]
        matches: dict[int, _Track] = {}
        self._match([track for track in self._tracks if track.unseen_seconds <= in_sight_seconds], people, matches)
        # A lost track has a wide tolerance, so it is matched last: it must not take another person's detection.
        matched = {id(track) for track in matches.values()}
        self._match([track for track in self._tracks if id(track) not in matched], people, matches)
        for index, pose in enumerate(people):
            if index not in matches:
                matches[index] = _Track(0, np.zeros((25, 2)), np.zeros(25, np.bool_), 0.0)
                self._tracks.append(matches[index])
            track = matches[index]
            track.see(pose, step_seconds)
            if track.person_id == 0 and self._is_confirmed(track, pose):
                self._last_id += 1
                track.person_id = self._last_id
        return [matches[index].person_id for index in range(len(people))]

    def _is_confirmed(self, track: _Track, pose: Pose) -> bool:
        confidence = pose.confidence[skeleton.BODY][pose.seen[skeleton.BODY]]
        mean = float(confidence.mean()) if len(confidence) else 0.0
        return mean >= self._rules.confirm_confidence or track.sightings >= self._rules.confirm_frames

    def _match(self, tracks: Sequence[_Track], people: Sequence[Pose], matches: dict[int, _Track]) -> None:
        """Assign these tracks to the people that have no match yet, and add them to `matches`."""
        free = [index for index in range(len(people)) if index not in matches]
        if not tracks or not free:
            return
        similarity = np.array([[track.similarity(people[index]) for index in free] for track in tracks])
        for row, column in zip(*linear_sum_assignment(similarity, maximize=True), strict=True):
            if similarity[row, column] >= self._rules.min_similarity:
                matches[free[column]] = tracks[row]


@dataclass(frozen=True, slots=True)
class TrackedPeople:
    """The tracked people of one frame.

    kept: indices of the confirmed people among the given ones. person_ids: their numbers, in that order. dancer_index:
    the dancer's index in those; -1 without a dancer.
    lost: a dancer was chosen before, but is not in this frame. changed: this frame's dancer replaces one who had been
    lost for too long.
    """

    kept: tuple[int, ...]
    person_ids: tuple[int, ...]
    dancer_index: int
    lost: bool = False
    changed: bool = False


class DancerTracker:
    """Tracks the people of one video, chooses one of them as the dancer, and keeps the choice.

    The rule applies to the first frame in which a person satisfies it. That person stays the dancer, even if others fit
    the rule better later. A frame without that person has no dancer. If the dancer is lost for longer than
    `remember_seconds`, the rule chooses again, except for PERSON, which waits forever.
    """

    def __init__(self, choice: DancerChoice | None = None, rules: TrackingRules | None = None) -> None:
        self._choice = DancerChoice() if choice is None else choice
        self._rules = TrackingRules() if rules is None else rules
        self._tracker = PeopleTracker(self._rules)
        self._last_time_s: float | None = None
        self._dancer_id = 0
        self._lost_seconds = 0.0

    def track(
        self,
        people: Sequence[Pose],
        size: FrameSize,
        time_s: float | None = None,
        person_ids: Sequence[int] | None = None,
    ) -> TrackedPeople:
        """Track the next frame's people.

        time_s: on any clock; None if unknown. person_ids: the people's numbers, if the source has them.
        """
        step_seconds = self._step_seconds(time_s)
        ids = self._tracker.update(people, step_seconds) if person_ids is None else list(person_ids)
        kept = tuple(index for index, number in enumerate(ids) if number > 0)
        kept_ids = tuple(ids[index] for index in kept)
        if self._dancer_id in kept_ids:
            self._lost_seconds = 0.0
            return TrackedPeople(kept, kept_ids, kept_ids.index(self._dancer_id))
        self._lost_seconds += step_seconds
        patient = (
            self._choice.rule is DancerRule.PERSON
            or self._lost_seconds <= self._rules.remember_seconds + _CLOCK_SECONDS
        )
        had_dancer = self._dancer_id > 0
        index = -1
        if not (had_dancer and patient):
            index = self._choice.chosen([people[index] for index in kept], kept_ids, size)
        if index < 0:
            return TrackedPeople(kept, kept_ids, -1, lost=had_dancer)
        self._dancer_id, self._lost_seconds = kept_ids[index], 0.0
        return TrackedPeople(kept, kept_ids, index, changed=had_dancer)

    def _step_seconds(self, time_s: float | None) -> float:
        last_s, self._last_time_s = self._last_time_s, time_s
        if time_s is None or last_s is None:
            return _ASSUMED_STEP_SECONDS
        return min(max(time_s - last_s, 0.0), _LONGEST_STEP_SECONDS)
