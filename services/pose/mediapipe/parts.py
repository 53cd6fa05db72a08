"""Hands and face: each is looked for near the body's landmarks, placed exactly by a small network, then followed.

The rules are those of MediaPipe's holistic graph (holistic_landmark_cpu.binarypb in its wheel).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from services.pose.mediapipe.body import BodyTrack
from services.pose.mediapipe.networks import Outputs, PoseNetworks, SharedNetwork, sigmoid
from services.pose.mediapipe.regions import (
    UPWARDS,
    Points,
    Region,
    box_about,
    region_about,
    rotation_between,
    squared,
)
from services.pose.mediapipe.ssd import anchors, detections

Floats = NDArray[np.float32]

_MIN_PRESENCE: Final = 0.5


class Part(ABC):
    """A hand or the face, and the two networks that find it.

    zeros_outside: whether the placing network sees black outside the picture, rather than its edge. remembers: how many
    points `remembered` may return.
    max_rotation_rad, max_shift, max_scale, margin: while the part's region by what was remembered is this much like the
    exact place, and all that was remembered lies in that place with this margin, the part is followed; see `Region`.
    """

    zeros_outside: bool = False
    remembers: range
    max_rotation_rad: float
    max_shift: float
    max_scale: float
    margin: float

    @abstractmethod
    def placing_network(self, networks: PoseNetworks) -> SharedNetwork:
        """Return the network that finds the exact place."""

    @abstractmethod
    def landmark_network(self, networks: PoseNetworks) -> SharedNetwork:
        """Return the network that finds the landmarks."""

    @abstractmethod
    def rough_region(self, body: BodyTrack) -> Region | None:
        """Return where the part should be, by the body's landmarks; None if the body does not show it."""

    @abstractmethod
    def placed(self, rough: Region, outputs: Outputs) -> Region | None:
        """Return the exact place from the placing network's outputs; None if the part is not there."""

    @abstractmethod
    def region_after(self, remembered: Points) -> Region:
        """Return where the part should be now, by what was remembered of it."""

    @abstractmethod
    def landmarks(self, region: Region, outputs: Outputs) -> Points | None:
        """Return the landmarks in pixels of the picture; None if the part is not there."""

    @abstractmethod
    def remembered(self, landmarks: Points) -> Points:
        """Return the points that `region` needs for the next picture."""

    def region(self, placed: Region, remembered: Points | None) -> Region:
        """Return where the landmark network looks: where the part was, which is steadier, or else the exact place."""
        if remembered is None:
            return placed
        now = self.region_after(remembered)
        limits = {"rotation_rad": self.max_rotation_rad, "shift": self.max_shift, "scale": self.max_scale}
        return now if now.like(placed, **limits) and placed.holds(remembered, margin=self.margin) else placed


class Hand(Part):
    """One hand; its 21 landmarks are in OpenPose's order.

    wrist, little_finger, index_finger: the body's landmarks of this hand.
    """

    _MIN_WRIST_VISIBILITY: Final = 0.1
    _PALM: Final = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18]
    remembers = range(len(_PALM), len(_PALM) + 1)
    max_rotation_rad, max_shift, max_scale, margin = math.radians(40), 0.2, 0.4, 0.1

    def __init__(self, wrist: int, little_finger: int, index_finger: int) -> None:
        self._wrist, self._little_finger, self._index_finger = wrist, little_finger, index_finger

    def placing_network(self, networks: PoseNetworks) -> SharedNetwork:
        """See `Part.placing_network`."""
        return networks.hand_recrop

    def landmark_network(self, networks: PoseNetworks) -> SharedNetwork:
        """See `Part.landmark_network`."""
        return networks.hand

    def rough_region(self, body: BodyTrack) -> Region | None:
        """See `Part.rough_region`."""
        if not body.visibility[self._wrist] > self._MIN_WRIST_VISIBILITY:
            return None
        points = body.landmarks.points
        wrist = points[self._wrist]
        knuckle = (2 * points[self._index_finger] + points[self._little_finger]) / 3
        side_px = 2 * math.hypot(*(knuckle - wrist).tolist())
        return squared(knuckle, side_px, side_px, rotation_between(wrist, knuckle, UPWARDS), scale=2.7, shift_y=-0.1)

    def placed(self, rough: Region, outputs: Outputs) -> Region | None:
        """See `Part.placed`."""
        centre, rim = rough.in_picture(outputs["output_crop"].reshape(2, 2) / 256)
        return region_about(centre, rim, -UPWARDS, scale=1, shift_y=-0.1)

    def region_after(self, remembered: Points) -> Region:
        """See `Part.region_after`."""
        wrist, index_finger, middle_finger, ring_finger = remembered[[0, 4, 6, 8]]
        rotation = rotation_between(wrist, (index_finger + ring_finger) / 4 + middle_finger / 2, UPWARDS)
        cosine, sine = math.cos(rotation), math.sin(rotation)
        turn = np.array([[cosine, -sine], [sine, cosine]], np.float32)
        upright = remembered @ turn
        lowest, highest = upright.min(axis=0), upright.max(axis=0)
        width_px, height_px = (highest - lowest).tolist()
        centre = turn @ ((lowest + highest) / 2)
        return squared(centre, width_px, height_px, rotation, scale=2, shift_y=-0.1)

    def landmarks(self, region: Region, outputs: Outputs) -> Points | None:
        """See `Part.landmarks`."""
        if not outputs["Identity_1"].item() > _MIN_PRESENCE:
            return None
        return region.in_picture(outputs["Identity"].reshape(21, 3)[:, :2] / 224)

    def remembered(self, landmarks: Points) -> Points:
        """See `Part.remembered`: the wrist, the thumb's base, and each finger's two lowest joints."""
        return landmarks[self._PALM]


class Face(Part):
    """The face; its 468 landmarks are MediaPipe's mesh."""

    zeros_outside = True
    max_rotation_rad, max_shift, max_scale, margin = math.radians(15), 0.1, 0.3, 0.2

    _DETECTOR_STRIDES: Final = (8, 16, 16, 16)
    _EYE_CORNERS: Final = (33, 263)
    remembers = range(len(_EYE_CORNERS) + 1, len(_EYE_CORNERS) + 468 + 1)

    def placing_network(self, networks: PoseNetworks) -> SharedNetwork:
        """See `Part.placing_network`."""
        return networks.face_detector

    def landmark_network(self, networks: PoseNetworks) -> SharedNetwork:
        """See `Part.landmark_network`."""
        return networks.face

    def rough_region(self, body: BodyTrack) -> Region | None:
        """See `Part.rough_region`."""
        head = body.landmarks.points[:11]
        return box_about(head, rotation_between(head[5], head[2], 0.0), scale=3)

    def placed(self, rough: Region, outputs: Outputs) -> Region | None:
        """See `Part.placed`."""
        values, logits = outputs["regressors"][0], outputs["classificators"].ravel()
        found = detections(values, logits, self._anchors(), 128, _MIN_PRESENCE)
        if not found:
            return None
        points = rough.in_picture(found[0].key_points)
        return box_about(points, rotation_between(points[0], points[1], 0.0), scale=2, shift_y=-0.1)

    def region_after(self, remembered: Points) -> Region:
        """See `Part.region_after`."""
        return box_about(remembered, rotation_between(remembered[0], remembered[1], 0.0), scale=1.5)

    def landmarks(self, region: Region, outputs: Outputs) -> Points | None:
        """See `Part.landmarks`."""
        if not sigmoid(outputs["conv2d_31"]).item() > _MIN_PRESENCE:
            return None
        return region.in_picture(outputs["conv2d_21"].reshape(468, 3)[:, :2] / 192)

    def remembered(self, landmarks: Points) -> Points:
        """See `Part.remembered`: two corners of the eyes, and the outline, which says as much as all points."""
        return np.concatenate([landmarks[list(self._EYE_CORNERS)], cv2.convexHull(landmarks)[:, 0]])

    @staticmethod
    @cache
    def _anchors() -> Floats:
        return anchors(128, Face._DETECTOR_STRIDES)


LEFT_HAND: Final = Hand(15, 17, 19)
RIGHT_HAND: Final = Hand(16, 18, 20)
FACE: Final = Face()
PARTS: Final[tuple[Part, ...]] = (FACE, LEFT_HAND, RIGHT_HAND)
