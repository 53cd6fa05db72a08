"""`PoseEstimator`: finds and follows one person with MediaPipe's networks, in OpenVINO."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion.frame import FrameSize, Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, PoseRules, Spent
from services.pose.mediapipe.body import BodyTrack, followed, person_region
from services.pose.mediapipe.landmarks import Landmarks, body_extent_px, body_pose, carried, with_face_and_hands
from services.pose.mediapipe.networks import Outputs, PoseNetworks, SharedNetwork, pose_networks, sigmoid
from services.pose.mediapipe.parts import PARTS, Part
from services.pose.mediapipe.regions import Points, Region
from services.pose.mediapipe.track import Track

Mask = NDArray[np.float32]

_USUAL_SECONDS: Final = 1 / 30
"""Between two pictures whose times are unknown."""
_MASK_MEMORY: Final = 0.7
"""How much of the mask before is kept where the new one is least sure."""


class PoseEstimator:
    """Finds one person with MediaPipe's networks, and follows that person. Used by one thread at a time.

    The networks are those of the process, or `networks`; the estimator itself is only a `Track`, so making another one
    costs nothing. `Estimate.state_after` is the whole track, but for its mask: an estimator that begins with it finds
    in the next pictures, byte for byte, what this one would have found.

    with_mask: estimates have a `mask`, and no state, which would lack it. unrelated_pictures: the pictures are not a
    video; detect in each of them and do not track. state: of the estimator that saw the pictures before.
    Raises ValueError for a state that is not of this backend, BadSettings if the files of the networks are missing.
    """

    def __init__(
        self,
        detail: PoseDetail = PoseDetail.HOLISTIC,
        *,
        rules: PoseRules | None = None,
        with_mask: bool = False,
        unrelated_pictures: bool = False,
        state: bytes = b"",
        networks: PoseNetworks | None = None,
    ) -> None:
        self.detail = detail
        self.rules = PoseRules() if rules is None else rules
        self.with_mask = with_mask
        self.spent = Spent()
        self._unrelated_pictures = unrelated_pictures
        self._networks = networks or pose_networks()
        self._networks.prepare(detail, with_mask=with_mask)
        self._track = Track.from_bytes(state) if state else None
        self._mask: Mask | None = None
        self._network_seconds = 0.0

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Find the person in the next picture, `[H, W, 3]` uint8 RGB. A picture without a person is not an error.

        time_s: when it was captured. Without it, pictures are taken to be a thirtieth of a second apart.
        """
        started = time.perf_counter()
        self._network_seconds = 0.0
        size = FrameSize(picture.shape[1], picture.shape[0])
        before = self._track
        if self._unrelated_pictures or (before is not None and before.size != size):
            before = self._mask = None
        track, mask = self._followed(picture, size, time_s, before)
        pose = None if track is None else self._believable(track.body, size)
        was_carried = False
        if pose is None:
            self._mask = None
            track = track and replace(track, parts=(None,) * len(PARTS), detected=None)
        elif track is not None and self.detail is not PoseDetail.BODY:
            track, pose, was_carried = self._with_parts(picture, track, pose, before)
        self._track = track
        seconds = time.perf_counter() - started
        self.spent = Spent(seconds - self._network_seconds, self._network_seconds)
        state = b"" if track is None or self.with_mask else track.to_bytes()
        people = [] if pose is None else [pose]
        return Estimate(people, len(people) - 1, seconds, was_carried, mask if people else None, state_after=state)

    def close(self) -> None:
        """Forget the person; the networks stay with the process."""
        self._track = self._mask = None

    def __enter__(self) -> PoseEstimator:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _followed(
        self, picture: Picture, size: FrameSize, time_s: float | None, before: Track | None
    ) -> tuple[Track | None, Mask | None]:
        """Return the track of the body in `picture`, without its parts, and the mask if it is wanted."""
        began = time.perf_counter()
        if before is None:
            region = person_region(self._networks.person_detector, picture, self.rules.min_detection_confidence)
        else:
            region = before.body.next_region
        if region is None:
            self._network_seconds += time.perf_counter() - began
            return None, None
        network = self._networks.body_and_mask if self.with_mask else self._networks.body
        outputs = network.run(region.crop(picture, network.side_px))
        self._network_seconds += time.perf_counter() - began
        seconds = _USUAL_SECONDS
        if before is not None and before.time_s is not None and time_s is not None and time_s > before.time_s:
            seconds = time_s - before.time_s
        min_presence = self.rules.min_tracking_confidence
        body = followed(outputs, region, None if before is None else before.body, seconds, min_presence)
        if body is None:
            return None, None
        mask = self._smoothed_mask(outputs, region, size) if self.with_mask else None
        return Track(size, time_s, body), mask

    def _believable(self, body: BodyTrack, size: FrameSize) -> Pose | None:
        landmarks = np.column_stack([_fractions(body.landmarks.points, size), body.visibility])
        pose = body_pose(landmarks, size, self.rules.min_visibility)
        large_enough = body_extent_px(pose) >= self.rules.min_height_fraction * size.height_px
        return pose if large_enough else None

    def _with_parts(self, picture: Picture, track: Track, pose: Pose, before: Track | None) -> tuple[Track, Pose, bool]:
        """Return the track and the pose with face and hands, and whether those were moved along from `before`."""
        parts = (None,) * len(PARTS) if before is None else before.parts
        if self.detail is PoseDetail.LIVE and before is not None and before.detected is not None:
            since = before.frames_since_detection + 1
            if since < self.rules.face_and_hands_every_n:
                track = replace(track, parts=parts, detected=before.detected, frames_since_detection=since)
                return track, carried(before.detected, pose), True
        found = self._parts(picture, track.body, parts)
        face, left, right = (None if part is None else _fractions(part, track.size) for part in found)
        pose = with_face_and_hands(pose, face, left, right, track.size)
        remembered = tuple(
            None if landmarks is None else part.remembered(landmarks)
            for part, landmarks in zip(PARTS, found, strict=True)
        )
        detected = pose if self.detail is PoseDetail.LIVE else None
        return replace(track, parts=remembered, detected=detected), pose, False

    def _parts(self, picture: Picture, body: BodyTrack, remembered: tuple[Points | None, ...]) -> list[Points | None]:
        """Find the landmarks of face, left and right hand, in pixels. The networks of the three run side by side."""
        began = time.perf_counter()
        placings: list[_Look | None] = []
        for part in PARTS:
            rough = part.rough_region(body)
            network = part.placing_network(self._networks)
            placings.append(None if rough is None else _Look(network, picture, rough, part))
        looks: list[_Look | None] = []
        for part, placing, points in zip(PARTS, placings, remembered, strict=True):
            placed = None if placing is None else part.placed(placing.region, placing.outputs.result())
            region = None if placed is None else part.region(placed, points)
            network = part.landmark_network(self._networks)
            looks.append(None if region is None else _Look(network, picture, region))
        found = [
            None if look is None else part.landmarks(look.region, look.outputs.result())
            for part, look in zip(PARTS, looks, strict=True)
        ]
        self._network_seconds += time.perf_counter() - began
        return found

    def _smoothed_mask(self, outputs: Outputs, region: Region, size: FrameSize) -> Mask:
        """Return the person's mask in the picture, steadied by the one before where it is unsure."""
        new = sigmoid(outputs["Identity_2"][0, :, :, 0])
        mask = region.uncropped(new, size)
        if self._mask is not None:
            # The entropy of a pixel's two classes, in bits: 1 where the network cannot decide.
            sure = np.clip(mask, 1e-6, 1 - 1e-6)
            entropy = -(sure * np.log2(sure) + (1 - sure) * np.log2(1 - sure))
            mask += (self._mask - mask) * (_MASK_MEMORY * entropy)
        self._mask = mask
        return mask.copy()


class _Look:
    """A network that looks at a region of the picture."""

    def __init__(self, network: SharedNetwork, picture: Picture, region: Region, part: Part | None = None) -> None:
        self.region = region
        zeros_outside = part is not None and part.zeros_outside
        self.outputs: Future[Outputs] = network.start(
            region.crop(picture, network.side_px, zeros_outside=zeros_outside)
        )


def _fractions(points: Points, size: FrameSize) -> Landmarks:
    return points / np.array([size.width_px, size.height_px], np.float32)
