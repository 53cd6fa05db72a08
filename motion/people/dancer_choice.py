"""The rule by which a session chooses the dancer among several people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize
from motion.pose import Pose
from motion.pose_metrics import body_size_px


class DancerRule(Enum):
    """How to choose the dancer among several people."""

    LARGEST = "largest"
    """The largest person."""
    CENTRE = "centre"
    """The person nearest to the frame's centre."""
    NEAREST = "nearest"
    """The person nearest to a given point."""
    PERSON = "id"
    """The person with a given number."""


@dataclass(frozen=True, slots=True)
class DancerChoice:
    """A rule with its parameters.

    x, y: for NEAREST, as fractions of the frame's width and height from its upper left corner. person_id: for PERSON.
    Raises ValueError for a point far outside the frame and for a number below 1.
    """

    rule: DancerRule = DancerRule.LARGEST
    x: float = 0.5
    y: float = 0.5
    person_id: int = 0

    def __post_init__(self) -> None:
        if not (-1 <= self.x <= 2 and -1 <= self.y <= 2):
            raise ValueError(f"a point must be in fractions of the frame, 0 to 1, got {self.x:g},{self.y:g}")
        if self.rule is DancerRule.PERSON and self.person_id < 1:
            raise ValueError(f"people are numbered from 1, got {self.person_id}")

    @classmethod
    def parsed(cls, text: str) -> DancerChoice:
        """Parse "largest", "centre", "nearest=0.3,0.5" or "id=2". Raises ValueError for anything else."""
        name, _, value = text.partition("=")
        try:
            if name == DancerRule.NEAREST.value:
                x, y = (float(number) for number in value.split(","))
                return cls(DancerRule.NEAREST, x, y)
            if name == DancerRule.PERSON.value:
                return cls(DancerRule.PERSON, person_id=int(value))
            if not value and name in (DancerRule.LARGEST.value, DancerRule.CENTRE.value):
                return cls(DancerRule(name))
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}") from error
        raise ValueError(f"expected largest, centre, nearest=X,Y or id=NUMBER, got {text!r}")

    def chosen(self, people: Sequence[Pose], ids: Sequence[int], size: FrameSize) -> int:
        """Return the index of the dancer among `people`, or -1 if the rule selects none."""
        if self.rule is DancerRule.PERSON:
            return list(ids).index(self.person_id) if self.person_id in ids else -1
        if not people:
            return -1
        if self.rule is DancerRule.LARGEST:
            return max(range(len(people)), key=lambda index: body_size_px(people[index]))
        x, y = (self.x, self.y) if self.rule is DancerRule.NEAREST else (0.5, 0.5)
        point_px = np.array([x * size.width_px, y * size.height_px])
        return min(range(len(people)), key=lambda index: float(np.hypot(*(centre_px(people[index]) - point_px))))


def centre_px(pose: Pose) -> NDArray[np.float64]:
    """Return the mean position of the seen body joints, `[2]`; 0 if there are none."""
    seen = pose.joints_px[skeleton.BODY][pose.seen[skeleton.BODY]]
    return np.asarray(seen.mean(axis=0) if len(seen) else np.zeros(2), np.float64)
