"""`RtmPoseEstimator`: top-down whole-body poses (body, feet, face, hands) of all people, by RTMPose or DWPose.

The networks are not part of this project: a model card names their files. Sources: Jiang et al. 2023, "RTMPose", and
Li et al. 2021, "SimCC": two one-dimensional maps per point, whose maxima are its x and its y.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from motion.pose import MAX_POSITION_PX, Pose
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, Spent
from services.pose.models.card import WHOLE_BODY_POINTS, DetectorFacts, InputFacts, RtmPoseCard
from services.pose.models.runtimes import Floats, Network, NetworkFile, blob_of, card_checked, padded
from services.pose.rtmpose.keypoint_map import whole_body_pose
from serving.errors import BadSettings

Boxes = NDArray[np.float32]
"""`[N, 4]` float32: left, top, right, bottom in pixels of the frame."""

_BOX_ROOM: Final = 1.25
"""Crops are larger than people's boxes by this factor, as in the networks' training."""
_MOST_PEOPLE: Final = 20
_FILL: Final = 114
"""Grey level of the padding around the detector's picture, as in its training."""
_BOX_BYTES: Final = 16
_SAME_PERSON_OVERLAP: Final = 0.6


class RtmPoseModel:
    """A card and its opened networks, shared by all streams. Raises BadSettings if the files do not match the card."""

    def __init__(self, card: RtmPoseCard, *, cache: Path | None = None, threads: int = 2) -> None:
        self.card = card
        self.file = NetworkFile(card.model.local(cache), "onnxruntime", (card.simcc_x, card.simcc_y), threads=threads)
        self.detector: NetworkFile | None = None
        if card.detector is not None:
            outputs = (card.detector.boxes, card.detector.labels) if card.detector.labels else (card.detector.boxes,)
            self.detector = NetworkFile(card.detector.model.local(cache), "onnxruntime", outputs, threads=threads)


class RtmPoseEstimator:
    """Finds all people in each picture, with 133 points each; `motion.people.person_tracking` tracks them.

    A detector, if there is one, searches every picture. Without one, the whole first picture is treated as one person,
    and each later picture is searched where the people of the previous one were, or as a whole if there were none.
    Synchronous; used by one thread at a time. The constructor raises BadSettings if the card does not match its
    network.

    state: the `state_after` of another estimator: without a detector, the people's boxes. Raises ValueError, whose text
    follows "is", for a state that is none.
    """

    detail = PoseDetail.HOLISTIC

    def __init__(self, model: RtmPoseModel, state: bytes = b"") -> None:
        last = _boxes_from(state)
        self._model = model
        self._network = model.file.network((1, 3, model.card.height_px, model.card.width_px))
        self._detector: Network | None = None
        if model.detector is not None and model.card.detector is not None:
            side_px = model.card.detector.side_px
            self._detector = model.detector.network((1, 3, side_px, side_px))
        self._last: list[NDArray[np.float32]] = []
        self.spent = Spent()
        self._network_seconds = self._prepare_seconds = 0.0
        with card_checked(model.card.name):
            blank = np.full((64, 64, 3), 128, np.uint8)
            self.estimate(blank)
            self._points(blank, np.array([[0, 0, 64, 64]], np.float32))
        self._last = last

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Find the people in the next picture, `[H, W, 3]` uint8 RGB. The first one is the dancer."""
        started = time.perf_counter()
        self._network_seconds = self._prepare_seconds = 0.0
        size = FrameSize(picture.shape[1], picture.shape[0])
        boxes = self._boxes(picture, size)
        people: list[Pose] = []
        if len(boxes):
            points_px, scores = self._points(picture, boxes)
            min_confidence = self._model.card.min_confidence
            found = [whole_body_pose(*one, size, min_confidence) for one in zip(points_px, scores, strict=True)]
            people = [pose for pose in found if pose.confidence.any()]
        self._last = [] if self._detector is not None else [_box_of(pose) for pose in people]
        self.spent = Spent(self._prepare_seconds, self._network_seconds)
        state = b"".join(box.astype("<f4").tobytes() for box in self._last)
        return Estimate(people, 0 if people else -1, time.perf_counter() - started, state_after=state)

    def close(self) -> None:
        """Forget where people were."""
        self._last = []

    def _boxes(self, picture: Picture, size: FrameSize) -> Boxes:
        facts = self._model.card.detector
        if facts is not None and self._detector is not None:
            return self._detected(picture, facts, self._detector)
        boxes = apart(self._last)
        return boxes if len(boxes) else np.array([[0, 0, size.width_px, size.height_px]], np.float32)

    def _detected(self, picture: Picture, facts: DetectorFacts, detector: Network) -> Boxes:
        height_px, width_px = picture.shape[:2]
        scale = facts.side_px / max(height_px, width_px)
        inner = FrameSize(max(1, round(width_px * scale)), max(1, round(height_px * scale)))
        shown = padded(picture, inner, FrameSize(facts.side_px, facts.side_px), grey=_FILL)
        found = self._timed(detector, shown, facts.input)
        rows = found[0].reshape(-1, found[0].shape[-1])
        if rows.shape[1] != 5:
            raise BadSettings(self._model.card.name, f"detector.boxes: expected [1, N, 5], got {found[0].shape}")
        good = rows[:, 4] >= facts.min_score
        if len(found) > 1:
            good &= found[1].reshape(-1) == facts.person_label
        best = rows[good][np.argsort(-rows[good, 4])][:_MOST_PEOPLE, :4]
        shrunk = np.array([inner.width_px / width_px, inner.height_px / height_px] * 2, np.float32)
        return apart(list(best / shrunk))

    def _points(self, picture: Picture, boxes: Boxes) -> tuple[Floats, Floats]:
        """Return points `[N, 133, 2]` in pixels of the picture and scores `[N, 133]` of the person in each box."""
        card = self._model.card
        crops = [crop_matrix(box, card.width_px, card.height_px) for box in boxes]
        size = (card.width_px, card.height_px)
        shown = [np.asarray(cv2.warpAffine(picture, crop, size, flags=cv2.INTER_LINEAR), np.uint8) for crop in crops]
        # One by one, so that networks of fixed batch size work, and a person's points never depend on other people.
        found = [self._timed(self._network, one, card.input) for one in shown]
        maps_x, maps_y = (np.concatenate([maps[axis] for maps in found]) for axis in (0, 1))
        if maps_x.ndim != 3 or maps_x.shape[1] != WHOLE_BODY_POINTS or maps_y.shape[1] != WHOLE_BODY_POINTS:
            expected = f"[1, {WHOLE_BODY_POINTS}, places]"
            raise BadSettings(card.name, f"outputs: expected {expected} twice, got {maps_x.shape} and {maps_y.shape}")
        points, scores = simcc_points(maps_x, maps_y, card.split)
        back = np.stack([cv2.invertAffineTransform(crop) for crop in crops])
        points_px = np.einsum("nij,nkj->nki", back[:, :, :2], points) + back[:, None, :, 2]
        return points_px.astype(np.float32), scores

    def _timed(self, network: Network, picture: Picture, facts: InputFacts) -> Sequence[Floats]:
        started = time.perf_counter()
        blob = blob_of(picture, facts)
        before = time.perf_counter()
        found = network(blob)
        self._prepare_seconds += before - started
        self._network_seconds += time.perf_counter() - before
        return found


def simcc_points(maps_x: Floats, maps_y: Floats, split: float) -> tuple[Floats, Floats]:
    """Return points `[N, K, 2]` in pixels of the crop and scores `[N, K]`, from maps `[N, K, bins]`.

    split: bins per pixel. A point's score is the smaller of its two maxima, at least 0; at 0 it was not found.
    """
    points = np.stack([maps_x.argmax(axis=2), maps_y.argmax(axis=2)], axis=2).astype(np.float32) / split
    return points, np.maximum(np.minimum(maps_x.max(axis=2), maps_y.max(axis=2)), 0).astype(np.float32)


def crop_matrix(box: NDArray[np.float32], width_px: int, height_px: int) -> NDArray[np.float32]:
    """Return the `[2, 3]` matrix from the picture to a crop of this size around the box, with a margin.

    The aspect ratio is kept.
    """
    left, top, right, bottom = (float(value) for value in box)
    # If the crop's aspect ratio differs from the box's, the crop shows more of the picture around the box.
    scale = _BOX_ROOM * max(max(right - left, 1) / width_px, max(bottom - top, 1) / height_px)
    x, y = (left + right) / 2, (top + bottom) / 2
    return np.array([[1 / scale, 0, width_px / 2 - x / scale], [0, 1 / scale, height_px / 2 - y / scale]], np.float32)


def apart(boxes: Sequence[NDArray[np.float32]]) -> Boxes:
    """Drop boxes that overlap an earlier one, because both would follow the same person."""
    kept: list[NDArray[np.float32]] = []
    for box in boxes:
        if all(_overlap(box, other) < _SAME_PERSON_OVERLAP for other in kept):
            kept.append(box)
    return np.array(kept, np.float32).reshape(-1, 4)


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the intersection over union."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    whole = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / whole if whole > 0 else 1.0


def _boxes_from(state: bytes) -> list[NDArray[np.float32]]:
    """Return the boxes in a state. Raises ValueError."""
    if len(state) % _BOX_BYTES or len(state) > _MOST_PEOPLE * _BOX_BYTES:
        raise ValueError(f"a state with {len(state)} bytes of boxes, expected {_BOX_BYTES} for each person")
    boxes = np.frombuffer(state, "<f4").reshape(-1, 4).astype(np.float32)
    if not (np.abs(boxes) <= MAX_POSITION_PX).all() or (boxes[:, :2] > boxes[:, 2:]).any():  # NaN is not
        raise ValueError("a state with boxes that are none")
    return list(boxes)


def _box_of(pose: Pose) -> NDArray[np.float32]:
    seen = pose.joints_px[pose.seen]
    return np.asarray(np.concatenate([seen.min(axis=0), seen.max(axis=0)]), np.float32)
