"""`PoseEstimator`: finds the person in each picture of a video, with MediaPipe."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol

import cv2
import numpy as np
from mediapipe.python.solutions.holistic import Holistic
from mediapipe.python.solutions.pose import Pose as BodyTracker
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from motion.people.person_tracking import Follower
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.mediapipe.carrying import carried
from services.pose.mediapipe.landmarks import body_extent_px, body_pose, landmarks_array, with_face_and_hands
from services.pose.mediapipe.stderr_filter import first_person_chatter_dropped, person_seen, startup_chatter_dropped


@dataclass(frozen=True, kw_only=True, slots=True)
class PoseRules:
    """What counts as a person and as a seen joint.

    The defaults follow measurements: at a detection confidence of 0.5 MediaPipe takes the foot of a table for a person.
    """

    min_detection_confidence: float = 0.7
    min_tracking_confidence: float = 0.5
    min_height_fraction: float = 0.25
    """Smaller people are not reported: the longer side of the body's box, as a fraction of the frame's height."""
    min_visibility: float = 0.3
    """A body joint less visible than this is unseen."""
    face_and_hands_every_n: int = 3
    """Used by `PoseDetail.LIVE`."""

    def __post_init__(self) -> None:
        for name in ("min_detection_confidence", "min_tracking_confidence", "min_height_fraction", "min_visibility"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        if self.face_and_hands_every_n < 1:
            raise ValueError(f"face_and_hands_every_n must be at least 1, got {self.face_and_hands_every_n}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """Who was found in one picture of `[H, W]` pixels.

    people: one entry per person. MediaPipe finds one at most.
    dancer_index: into `people`; -1 when nobody is there, or the dancer is lost.
    compute_seconds: time spent on this picture.
    face_and_hands_carried: they were moved along from an earlier picture instead of looked for (`PoseDetail.LIVE`).
    mask: `[H, W]` float32 in [0, 1], 1 where a pixel is of the person; None unless asked for, or with nobody there.
    person_ids: in the order of `people`, where somebody told them apart; else empty.
    dancer_lost: a dancer was chosen earlier, and is not in this picture. dancer_changed: another dancer was chosen.
    """

    people: list[Pose]
    dancer_index: int
    compute_seconds: float
    face_and_hands_carried: bool = False
    mask: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    person_ids: tuple[int, ...] = ()
    dancer_lost: bool = False
    dancer_changed: bool = False

    @property
    def dancer(self) -> Pose | None:
        """The pose at `dancer_index`, None when nobody is there."""
        return self.people[self.dancer_index] if self.dancer_index >= 0 else None


@dataclass(frozen=True, slots=True)
class Spent:
    """Where a picture's time went before the people were made of what the network gave."""

    prepare_seconds: float = 0.0
    """Bringing the picture into the network's form."""
    network_seconds: float = 0.0


class PeopleEstimator(Protocol):
    """What every backend is: finds the people in the pictures of one video. Used by one thread at a time.

    spent: on the last picture.
    """

    detail: PoseDetail
    spent: Spent

    def estimate(self, picture: Picture) -> Estimate:
        """The people in the next picture, `[H, W, 3]` uint8 RGB. Nobody there is an answer without people."""
        ...

    def close(self) -> None:
        """Gives up what it holds; a second call does nothing."""
        ...


def followed(estimate: Estimate, follower: Follower, size: FrameSize, time_s: float | None) -> Estimate:
    """The estimate with its people told apart, those who are not sure to be any left out, and the dancer among them."""
    started = time.perf_counter()
    who = follower.follow(estimate.people, size, time_s)
    return replace(
        estimate,
        people=[estimate.people[index] for index in who.kept],
        dancer_index=who.dancer_index,
        person_ids=who.person_ids,
        dancer_lost=who.lost,
        dancer_changed=who.changed,
        compute_seconds=estimate.compute_seconds + time.perf_counter() - started,
    )


class PoseEstimator:
    """MediaPipe's backend, which finds one person.

    One tracker for the pictures of one video, in their order. Synchronous; used by one thread at a time.

    unrelated_pictures: they are no video; the detector looks at each of them, and nobody is followed.

    MediaPipe's models (complexity 1) come with its wheel; nothing is downloaded. Starting takes up to half a second,
    and happens here and not in the first `estimate`. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        detail: PoseDetail = PoseDetail.HOLISTIC,
        *,
        rules: PoseRules | None = None,
        with_mask: bool = False,
        unrelated_pictures: bool = False,
    ) -> None:
        self._unrelated_pictures = unrelated_pictures
        self.detail = detail
        self.rules = PoseRules() if rules is None else rules
        self.with_mask = with_mask
        self.spent = Spent()
        self._looked_at: Pose | None = None
        self._frames_since_look = 0
        self._trackers: list[Any] = []
        with startup_chatter_dropped():
            self._body = None if detail is PoseDetail.HOLISTIC else self._started(BodyTracker, mask=with_mask)
            self._holistic: Any = None
            if detail is not PoseDetail.BODY:
                mask = with_mask and detail is PoseDetail.HOLISTIC
                self._holistic = self._started(Holistic, mask=mask, refine_face_landmarks=True)

    def estimate(self, picture: Picture) -> Estimate:
        """Finds the person in the next picture: `[H, W, 3]` uint8 RGB. Nobody there is an answer without people."""
        started = time.perf_counter()
        size = FrameSize(picture.shape[1], picture.shape[0])
        # Never reduced first: MediaPipe cuts its 256x256 inputs out of the full picture; reducing it costs more.
        picture = np.ascontiguousarray(picture)
        tracker = self._holistic if self._body is None else self._body
        with first_person_chatter_dropped():
            found = tracker.process(picture)
        # MediaPipe does not tell its networks from the work around them.
        self.spent = Spent(network_seconds=time.perf_counter() - started)
        if found.pose_landmarks is not None:
            person_seen()
        pose = self._believable(found, size)
        if pose is None:
            self._looked_at = None
            return Estimate([], -1, time.perf_counter() - started)
        was_carried = False
        if self.detail is PoseDetail.HOLISTIC:
            pose = _completed(pose, found, size)
        elif self.detail is PoseDetail.LIVE:
            pose, was_carried = self._live(pose, picture, size)
        mask = _mask(found, size) if self.with_mask else None
        return Estimate([pose], 0, time.perf_counter() - started, was_carried, mask)

    def close(self) -> None:
        """Ends the tracker; a second call does nothing."""
        while self._trackers:
            self._trackers.pop().close()

    def __enter__(self) -> PoseEstimator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self, solution: Any, *, mask: bool, **options: Any) -> Any:
        tracker = solution(
            static_image_mode=self._unrelated_pictures,
            model_complexity=1,
            enable_segmentation=mask,
            min_detection_confidence=self.rules.min_detection_confidence,
            min_tracking_confidence=self.rules.min_tracking_confidence,
            **options,
        )
        self._trackers.append(tracker)
        # The graph loads its networks with its first picture; nobody is in this one.
        tracker.process(np.zeros((64, 64, 3), np.uint8))
        return tracker

    def _believable(self, found: Any, size: FrameSize) -> Pose | None:
        body = landmarks_array(found.pose_landmarks)
        if body is None:
            return None
        pose = body_pose(body, size, self.rules.min_visibility)
        large_enough = body_extent_px(pose) >= self.rules.min_height_fraction * size.height_px
        return pose if large_enough else None

    def _live(self, pose: Pose, picture: Picture, size: FrameSize) -> tuple[Pose, bool]:
        if self._looked_at is not None and self._frames_since_look + 1 < self.rules.face_and_hands_every_n:
            self._frames_since_look += 1
            return carried(self._looked_at, pose), True
        self._looked_at = _completed(pose, self._holistic.process(picture), size)
        self._frames_since_look = 0
        return self._looked_at, False


def _completed(pose: Pose, found: Any, size: FrameSize) -> Pose:
    face, left, right = found.face_landmarks, found.left_hand_landmarks, found.right_hand_landmarks
    return with_face_and_hands(pose, landmarks_array(face), landmarks_array(left), landmarks_array(right), size)


def _mask(found: Any, size: FrameSize) -> NDArray[np.float32]:
    mask = np.asarray(found.segmentation_mask, np.float32)
    return np.asarray(cv2.resize(mask, (size.width_px, size.height_px), interpolation=cv2.INTER_LINEAR), np.float32)
