"""`SolutionEstimator`: finds the person in each picture of a video with the solution in MediaPipe's wheel."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np
from mediapipe.python.solutions.holistic import Holistic
from mediapipe.python.solutions.pose import Pose as BodyTracker
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, PoseRules, Spent
from services.pose.mediapipe.landmarks import Landmarks, body_extent_px, body_pose, carried, with_face_and_hands
from services.pose.mediapipe_solution.stderr_filter import (
    first_person_chatter_dropped,
    person_seen,
    startup_chatter_dropped,
)
from serving.process.memory import give_freed_back


class SolutionEstimator:
    """MediaPipe's own tracking, which finds one person.

    One tracker for the pictures of one video, in order. Synchronous; used by one thread at a time.

    unrelated_pictures: the pictures are not a video; detect in each of them and do not track. state: MediaPipe's graphs
    do not say their state, so it is always empty; raises ValueError for any other.

    MediaPipe's models (complexity 1) come with its wheel; nothing is downloaded. The constructor starts the graphs,
    which takes up to half a second. Close the estimator, or use it as a context manager.
    """

    def __init__(
        self,
        detail: PoseDetail = PoseDetail.HOLISTIC,
        *,
        rules: PoseRules | None = None,
        with_mask: bool = False,
        unrelated_pictures: bool = False,
        state: bytes = b"",
    ) -> None:
        if state:
            raise ValueError("a state of another backend")
        self._unrelated_pictures = unrelated_pictures
        self.detail = detail
        self.rules = PoseRules() if rules is None else rules
        self.with_mask = with_mask
        self.spent = Spent()
        self._detected: Pose | None = None
        self._frames_since_detection = 0
        self._trackers: list[Any] = []
        with startup_chatter_dropped():
            self._body = None if detail is PoseDetail.HOLISTIC else self._started(BodyTracker, mask=with_mask)
            self._holistic: Any = None
            if detail is not PoseDetail.BODY:
                mask = with_mask and detail is PoseDetail.HOLISTIC
                self._holistic = self._started(Holistic, mask=mask, refine_face_landmarks=True)

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Find the person in the next picture, `[H, W, 3]` uint8 RGB. A picture without a person is not an error."""
        started = time.perf_counter()
        size = FrameSize(picture.shape[1], picture.shape[0])
        # Not downscaled first: MediaPipe crops its 256x256 inputs from the full picture, and downscaling costs more.
        picture = np.ascontiguousarray(picture)
        tracker = self._holistic if self._body is None else self._body
        with first_person_chatter_dropped():
            found = tracker.process(picture)
        # MediaPipe does not separate its networks from the work around them.
        self.spent = Spent(network_seconds=time.perf_counter() - started)
        if found.pose_landmarks is not None:
            person_seen()
        pose = self._believable(found, size)
        if pose is None:
            self._detected = None
            return Estimate([], -1, time.perf_counter() - started)
        was_carried = False
        if self.detail is PoseDetail.HOLISTIC:
            pose = _completed(pose, found, size)
        elif self.detail is PoseDetail.LIVE:
            pose, was_carried = self._live(pose, picture, size)
        mask = _mask(found, size) if self.with_mask else None
        return Estimate([pose], 0, time.perf_counter() - started, was_carried, mask)

    def close(self) -> None:
        """Close the trackers, and return their memory to the system; a second call does nothing."""
        if not self._trackers:
            return
        while self._trackers:
            self._trackers.pop().close()
        # The process would otherwise keep the hundred megabytes of the graphs' networks and buffers.
        give_freed_back()

    def __enter__(self) -> SolutionEstimator:
        return self

    def __exit__(self, *error: object) -> None:
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
        # The graph loads its networks with its first picture; this one is blank.
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
        if self._detected is not None and self._frames_since_detection + 1 < self.rules.face_and_hands_every_n:
            self._frames_since_detection += 1
            return carried(self._detected, pose), True
        self._detected = _completed(pose, self._holistic.process(picture), size)
        self._frames_since_detection = 0
        return self._detected, False


def landmarks_array(landmark_list: Any) -> Landmarks | None:
    """Return MediaPipe's list as `[N, 3]` float32: x, y (fractions of the picture) and visibility. None stays None.

    Only body landmarks have a visibility; for faces and hands it is 0.
    """
    if landmark_list is None:
        return None
    return np.array([(mark.x, mark.y, mark.visibility) for mark in landmark_list.landmark], np.float32)


def _completed(pose: Pose, found: Any, size: FrameSize) -> Pose:
    face, left, right = found.face_landmarks, found.left_hand_landmarks, found.right_hand_landmarks
    return with_face_and_hands(pose, landmarks_array(face), landmarks_array(left), landmarks_array(right), size)


def _mask(found: Any, size: FrameSize) -> NDArray[np.float32]:
    mask = np.asarray(found.segmentation_mask, np.float32)
    return np.asarray(cv2.resize(mask, (size.width_px, size.height_px), interpolation=cv2.INTER_LINEAR), np.float32)
