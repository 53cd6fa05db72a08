"""Who is who: people of a video get identities, and one of them stays the dancer.

Identities: the people of a frame are dealt out to the known ones by optimal assignment (the Hungarian method) on OKS
between where a person is expected and where somebody was found. Who is out of sight is remembered for a while.
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

ASSUMED_FRAME_SECONDS: Final = 0.04
"""Between two frames whose times are not known."""
_LONGEST_STEP_SECONDS: Final = 1.0
_SPEED_MEMORY: Final = 0.7
"""Of one frame's speed, in the next frame's."""
_COASTING_SECONDS: Final = 0.5
"""Somebody out of sight is expected to go on for so long; walks are not straight for longer."""
_IN_SIGHT_SECONDS: Final = 0.2
"""Somebody seen so recently is looked for before those who were lost longer ago."""
_ORDINARY_ROOM: Final = 2.0
"""How far a joint may be from where it is expected, in OKS's own deviations, between two frames."""
_ROOM_PER_SECOND: Final = 4.0
"""By how much that grows for each second out of sight."""
_SIZE_KEPT_PER_SECOND: Final = 0.7
"""A body of which less is seen than before is taken for as large as it was, a little less each second."""
_LEAST_DEVIATION: Final = 0.07
"""Eyes are found exactly, but move as fast as the rest of the body."""
_CLOCK_SECONDS: Final = 1e-6
"""Times that have travelled are rounded to nanoseconds; that must not decide who is forgotten."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowRules:
    """How people are told apart, and who counts as one. Raises ValueError for nonsense."""

    min_likeness: float = 0.15
    """Somebody less alike than this (OKS with room for movement) is somebody else."""
    remember_seconds: float = 3.0
    """Whoever comes back within this time, near where they were, is the same person. Later they are a new one, and the
    dancer is chosen anew."""
    sure_confidence: float = 0.45
    """Somebody new whose joints are less sure than this on average counts only once seen in `unsure_frames` frames:
    what networks take for a person now and then is gone in the next frame."""
    unsure_frames: int = 6

    def __post_init__(self) -> None:
        if self.unsure_frames < 1:
            raise ValueError(f"unsure_frames must be at least 1, got {self.unsure_frames}")
        if not 0 < self.min_likeness < 1:
            raise ValueError(f"min_likeness must lie between 0 and 1, got {self.min_likeness}")
        if not self.remember_seconds >= 0:
            raise ValueError(f"remember_seconds cannot be negative, got {self.remember_seconds}")


@dataclass(slots=True)
class _Known:
    """A person: where each body joint was last seen, moved along since with the whole body.

    joints_px: `[25, 2]`, known: `[25]` which of them ever were seen.
    """

    person_id: int
    joints_px: Floats
    known: NDArray[np.bool_]
    size_px: float
    speed_px_s: Floats = field(default_factory=lambda: np.zeros(2))
    unseen_seconds: float = 0.0
    sightings: int = 0

    def expect(self, step_seconds: float) -> None:
        """Moves the person on by one frame."""
        if self.unseen_seconds < _COASTING_SECONDS:
            self.joints_px = self.joints_px + self.speed_px_s * step_seconds
        self.unseen_seconds += step_seconds

    def likeness(self, pose: Pose) -> float:
        """OKS with room for movement, over the joints that both have; 0 without any."""
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
        """The person was found here, after `expect`."""
        seen = pose.seen[skeleton.BODY]
        found_px = pose.joints_px[skeleton.BODY].astype(np.float64)
        both = seen & self.known
        if both.any():
            # The median: a joint that was taken for another one is no movement of the body.
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
    """Gives every person of a video a number, from 1 on, which stays theirs. Numbers are not used twice.

    Somebody of whom it is not sure yet that they are a person at all has the number 0.
    """

    def __init__(self, rules: FollowRules | None = None) -> None:
        self._rules = FollowRules() if rules is None else rules
        self._known: list[_Known] = []
        self._last_id = 0

    def update(self, people: Sequence[Pose], step_seconds: float = ASSUMED_FRAME_SECONDS) -> list[int]:
        """The numbers of the next frame's people, in their order. step_seconds: since the frame before."""
        for known in self._known:
            known.expect(step_seconds)
        limit_seconds = self._rules.remember_seconds + _CLOCK_SECONDS
        self._known = [
            known
            for known in self._known
            if known.unseen_seconds <= (limit_seconds if known.person_id else max(_IN_SIGHT_SECONDS, step_seconds))
        ]
        owner: dict[int, _Known] = {}
        in_sight = [known for known in self._known if known.unseen_seconds <= max(_IN_SIGHT_SECONDS, step_seconds)]
        self._deal(in_sight, people, owner)
        # A body that has been away has room to be anywhere near: it must not take somebody else's place.
        seen_now = {id(known) for known in owner.values()}
        self._deal([known for known in self._known if id(known) not in seen_now], people, owner)
        for index, pose in enumerate(people):
            if index not in owner:
                owner[index] = _Known(0, np.zeros((25, 2)), np.zeros(25, np.bool_), 0.0)
                self._known.append(owner[index])
            known = owner[index]
            known.see(pose, step_seconds)
            if known.person_id == 0 and self._is_somebody(known, pose):
                self._last_id += 1
                known.person_id = self._last_id
        return [owner[index].person_id for index in range(len(people))]

    def _is_somebody(self, known: _Known, pose: Pose) -> bool:
        sure = pose.confidence[skeleton.BODY][pose.seen[skeleton.BODY]]
        mean = float(sure.mean()) if len(sure) else 0.0
        return mean >= self._rules.sure_confidence or known.sightings >= self._rules.unsure_frames

    def _deal(self, known: Sequence[_Known], people: Sequence[Pose], owner: dict[int, _Known]) -> None:
        """Adds to `owner` who of the people without one is whom."""
        free = [index for index in range(len(people)) if index not in owner]
        if not known or not free:
            return
        likeness = np.array([[one.likeness(people[index]) for index in free] for one in known])
        for row, column in zip(*linear_sum_assignment(likeness, maximize=True), strict=True):
            if likeness[row, column] >= self._rules.min_likeness:
                owner[free[column]] = known[row]


@dataclass(frozen=True, slots=True)
class Followed:
    """Who is who in one frame.

    kept: which of the people that were given count as such; the others are not sure enough. person_ids: of those, in
    their order. dancer_index: into them; -1 without a dancer.
    lost: a dancer was chosen before, and is not in this frame. changed: this frame's dancer is another person than the
    last one, who had been lost for too long.
    """

    kept: tuple[int, ...]
    person_ids: tuple[int, ...]
    dancer_index: int
    lost: bool = False
    changed: bool = False


class DancerKeeper:
    """Keeps to one of the numbered people of a video.

    The rule chooses among the people of the first frame that has one who fits. From then on the dancer is that number,
    whoever else would fit better. Is it not in a frame, the dancer is lost, and that frame has none. A dancer lost for
    longer than `remember_seconds` is given up, and the rule chooses again; by PERSON it never gives up.

    lost: a dancer was chosen, and is not in the last frame. changed: in the last frame another one was chosen.
    """

    def __init__(self, choice: DancerChoice | None = None, rules: FollowRules | None = None) -> None:
        self.lost = self.changed = False
        self._choice = DancerChoice() if choice is None else choice
        self._rules = FollowRules() if rules is None else rules
        self._dancer_id = 0
        self._lost_seconds = 0.0

    def update(
        self, people: Sequence[Pose], ids: Sequence[int], size: FrameSize, step_seconds: float = ASSUMED_FRAME_SECONDS
    ) -> int:
        """The index of the dancer among the next frame's people; -1 without one."""
        self.lost = self.changed = False
        if self._dancer_id in ids:
            self._lost_seconds = 0.0
            return list(ids).index(self._dancer_id)
        self._lost_seconds += step_seconds
        patient = (
            self._choice.rule is DancerRule.PERSON
            or self._lost_seconds <= self._rules.remember_seconds + _CLOCK_SECONDS
        )
        index = -1 if self._dancer_id and patient else self._choice.chosen(people, ids, size)
        if index < 0:
            self.lost = self._dancer_id > 0
            return -1
        self.changed = self._dancer_id > 0
        self._dancer_id, self._lost_seconds = ids[index], 0.0
        return index


class Follower:
    """`PeopleTracker` and `DancerKeeper` for the frames of one video, with their times."""

    def __init__(self, choice: DancerChoice | None = None, rules: FollowRules | None = None) -> None:
        self._tracker = PeopleTracker(rules)
        self._keeper = DancerKeeper(choice, rules)
        self._last_time_s: float | None = None

    def follow(
        self,
        people: Sequence[Pose],
        size: FrameSize,
        time_s: float | None = None,
        person_ids: Sequence[int] | None = None,
    ) -> Followed:
        """The next frame's people. time_s: on any clock; None where unknown. person_ids: known from elsewhere."""
        step_seconds = self._step_seconds(time_s)
        ids = self._tracker.update(people, step_seconds) if person_ids is None else list(person_ids)
        kept = tuple(index for index, number in enumerate(ids) if number > 0)
        kept_ids = tuple(ids[index] for index in kept)
        dancer = self._keeper.update([people[index] for index in kept], kept_ids, size, step_seconds)
        return Followed(kept, kept_ids, dancer, self._keeper.lost, self._keeper.changed)

    def _step_seconds(self, time_s: float | None) -> float:
        last_s, self._last_time_s = self._last_time_s, time_s
        if time_s is None or last_s is None:
            return ASSUMED_FRAME_SECONDS
        return min(max(time_s - last_s, 0.0), _LONGEST_STEP_SECONDS)
