"""Person tracking: every person in a video keeps a number, and one of them stays the dancer.

The detections of a frame are matched to the existing tracks by optimal assignment (the Hungarian method) on the OKS
between a track's predicted pose and a detected pose. Lost tracks are remembered for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from motion import skeleton
from motion.frame import FrameSize
from motion.people.dancer_choice import DancerChoice, DancerRule
from motion.people.track import IN_SIGHT_SECONDS, Track
from motion.people.tracker_state import MOST_TRACKS, TrackerState
from motion.pose import Pose

_ASSUMED_STEP_SECONDS: Final = 0.04
"""Assumed time between two frames without known times."""
_LONGEST_STEP_SECONDS: Final = 1.0
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


class PeopleTracker:
    """Assigns every person in a video a lasting number, from 1. Numbers are never reused.

    Unconfirmed people have the number 0. If there are more than `MOST_TRACKS` people, those out of sight for longest
    are forgotten first.

    state: where the tracks are kept.
    """

    def __init__(self, rules: TrackingRules, state: TrackerState) -> None:
        self._rules = rules
        self._state = state

    def update(self, people: Sequence[Pose], step_seconds: float) -> list[int]:
        """Return the numbers of the next frame's people, in their order. step_seconds: since the previous frame."""
        for track in self._state.tracks:
            track.predict(step_seconds)
        in_sight_seconds = max(IN_SIGHT_SECONDS, step_seconds)
        limit_seconds = self._rules.remember_seconds + _CLOCK_SECONDS
        self._state.tracks = [
            track
            for track in self._state.tracks
            if track.unseen_seconds <= (limit_seconds if track.person_id else in_sight_seconds)
        ]
        matches: dict[int, Track] = {}
        self._match(
            [track for track in self._state.tracks if track.unseen_seconds <= in_sight_seconds], people, matches
        )
        # A lost track has a wide tolerance, so it is matched last: it must not take another person's detection.
        matched = {id(track) for track in matches.values()}
        self._match([track for track in self._state.tracks if id(track) not in matched], people, matches)
        for index, pose in enumerate(people):
            if index not in matches:
                matches[index] = Track(0, np.zeros((25, 2)), np.zeros(25, np.bool_), 0.0)
                self._state.tracks.append(matches[index])
            track = matches[index]
            track.see(pose, step_seconds)
            if track.person_id == 0 and self._is_confirmed(track, pose):
                self._state.last_id += 1
                track.person_id = self._state.last_id
        self._forget_some()
        return [matches[index].person_id for index in range(len(people))]

    def _forget_some(self) -> None:
        tracks = self._state.tracks
        if len(tracks) > MOST_TRACKS:
            kept = sorted(range(len(tracks)), key=lambda index: tracks[index].unseen_seconds)[:MOST_TRACKS]
            self._state.tracks = [tracks[index] for index in sorted(kept)]

    def _is_confirmed(self, track: Track, pose: Pose) -> bool:
        confidence = pose.confidence[skeleton.BODY][pose.seen[skeleton.BODY]]
        mean = float(confidence.mean()) if len(confidence) else 0.0
        return mean >= self._rules.confirm_confidence or track.sightings >= self._rules.confirm_frames

    def _match(self, tracks: Sequence[Track], people: Sequence[Pose], matches: dict[int, Track]) -> None:
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

    state: what `state_after` of another tracker returned, to continue exactly as that one would have; empty for a new
    video. Raises ValueError, whose text follows "is", for any other bytes.
    """

    def __init__(
        self, choice: DancerChoice | None = None, rules: TrackingRules | None = None, state: bytes = b""
    ) -> None:
        self._choice = DancerChoice() if choice is None else choice
        self._rules = TrackingRules() if rules is None else rules
        self._state = TrackerState.from_bytes(state) if state else TrackerState()
        self._tracker = PeopleTracker(self._rules, self._state)

    def state_after(self) -> bytes:
        """Return the state after the frames so far."""
        return self._state.to_bytes()

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
        if self._state.dancer_id in kept_ids:
            self._state.lost_seconds = 0.0
            return TrackedPeople(kept, kept_ids, kept_ids.index(self._state.dancer_id))
        self._state.lost_seconds += step_seconds
        patient = (
            self._choice.rule is DancerRule.PERSON
            or self._state.lost_seconds <= self._rules.remember_seconds + _CLOCK_SECONDS
        )
        had_dancer = self._state.dancer_id > 0
        index = -1
        if not (had_dancer and patient):
            index = self._choice.chosen([people[index] for index in kept], kept_ids, size)
        if index < 0:
            return TrackedPeople(kept, kept_ids, -1, lost=had_dancer)
        self._state.dancer_id, self._state.lost_seconds = kept_ids[index], 0.0
        return TrackedPeople(kept, kept_ids, index, changed=had_dancer)

    def _step_seconds(self, time_s: float | None) -> float:
        last_s, self._state.last_time_s = self._state.last_time_s, time_s
        if time_s is None or last_s is None:
            return _ASSUMED_STEP_SECONDS
        return min(max(time_s - last_s, 0.0), _LONGEST_STEP_SECONDS)
