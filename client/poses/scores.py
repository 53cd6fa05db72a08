"""Scores of a pose backend on a clip, alone and against a reference: the true joints, or another backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from motion import skeleton
from motion.pose import Pose
from motion.pose_metrics import oks, pck, torso_px


@dataclass(frozen=True, slots=True, eq=False)
class FoundPeople:
    """The people found in one frame; `person_ids` and `dancer_index` refer to `people`, -1 means no dancer.

    seconds: the whole compute time, which includes the other two.
    """

    people: Sequence[Pose]
    person_ids: Sequence[int]
    dancer_index: int
    lost: bool
    changed: bool
    seconds: float = 0.0
    prepare_seconds: float = 0.0
    network_seconds: float = 0.0

    @property
    def dancer(self) -> Pose | None:
        """The dancer's pose."""
        return self.people[self.dancer_index] if self.dancer_index >= 0 else None


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseScores:
    """The scores of one backend on one clip; NaN where there is nothing to score.

    people: mean number per frame. ids: number of different people. jitter: see `jitter`. pck, oks: against the
    reference, over the frames in which both have a person. Times are medians in milliseconds. beside_network: time
    spent after the network, as a fraction of the network's time.
    """

    backend: str
    frames: int
    with_people: int
    people: float
    ids: int
    with_dancer: int
    lost: int
    changes: int
    jitter: float
    pck: float
    oks: float
    frame_ms: float
    network_ms: float
    beside_network: float


def scored(backend: str, frames: Sequence[FoundPeople], reference: Sequence[Pose | None] | None) -> PoseScores:
    """Score the people found in each frame.

    reference: the true pose of each frame, None for a frame without a person; or None without a reference.
    """
    pairs = [] if reference is None else _pairs(frames, reference)
    after_ms = _median([(f.seconds - f.prepare_seconds - f.network_seconds) * 1000 for f in frames])
    network_ms = _median([f.network_seconds * 1000 for f in frames])
    return PoseScores(
        backend=backend,
        frames=len(frames),
        with_people=sum(bool(f.people) for f in frames),
        people=float(np.mean([len(f.people) for f in frames])) if frames else float("nan"),
        ids=len({number for f in frames for number in f.person_ids}),
        with_dancer=sum(f.dancer_index >= 0 for f in frames),
        lost=sum(f.lost for f in frames),
        changes=sum(f.changed for f in frames),
        jitter=jitter([f.dancer for f in frames]),
        pck=_mean([pck(found, truth) for found, truth in pairs]),
        oks=_mean([oks(found, truth) for found, truth in pairs]),
        frame_ms=_median([f.seconds * 1000 for f in frames]),
        network_ms=network_ms,
        beside_network=after_ms / network_ms if network_ms > 0 else float("nan"),
    )


def jitter(poses: Sequence[Pose | None]) -> float:
    """The median second difference of a body joint over three consecutive frames, in thousandths of the torso.

    A steady movement has a second difference of 0. NaN if no three consecutive frames have a joint in common.
    """
    shakes: list[float] = []
    for before, at, after in zip(poses, poses[1:], poses[2:], strict=False):
        if before is None or at is None or after is None:
            continue
        torso = torso_px(at)
        body = skeleton.BODY
        common = before.seen[body] & at.seen[body] & after.seen[body]
        if not torso > 0 or not common.any():
            continue
        bend_px = before.joints_px[body] - 2 * at.joints_px[body] + after.joints_px[body]
        shakes += (1000 * np.hypot(bend_px[common, 0], bend_px[common, 1]) / torso).tolist()
    return _median(shakes)


def _pairs(frames: Sequence[FoundPeople], reference: Sequence[Pose | None]) -> list[tuple[Pose, Pose]]:
    """Found and true pose of each frame that has both; of several people, the one most like the truth."""
    pairs = []
    for frame, truth in zip(frames, reference, strict=False):
        if truth is not None and truth.seen[skeleton.BODY].any() and frame.people:
            pairs.append((max(frame.people, key=lambda pose: np.nan_to_num(oks(pose, truth))), truth))
    return pairs


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
