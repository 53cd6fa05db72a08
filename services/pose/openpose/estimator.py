"""`OpenPoseEstimator`: finds any number of people in each picture with a part affinity field network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from motion import skeleton
from motion.frame import FrameSize, Picture
from motion.pose import Pose
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, Spent
from services.pose.models.card import OpenPoseCard
from services.pose.models.runtimes import Network, NetworkFile, blob_of, card_checked, padded
from services.pose.openpose.grouping import MIN_PARTS, Grouped, group
from serving.errors import BadSettings

Floats = NDArray[np.float32]
_GREY_SIDES: Final = (480, 640)


class OpenPoseModel:
    """A card and its opened network, shared by all streams. Raises BadSettings if the files do not match the card."""

    def __init__(self, card: OpenPoseCard, *, cache: Path | None = None, threads: int = 2) -> None:
        self.card = card
        self.outputs = (card.heatmaps,) if card.heatmaps == card.fields else (card.heatmaps, card.fields)
        structure = None if card.structure is None else card.structure.local(cache)
        path = card.model.local(cache)
        self.file = NetworkFile(path, card.runtime, self.outputs, structure=structure, threads=threads)

    def input_size(self, picture: FrameSize) -> tuple[FrameSize, FrameSize]:
        """Return the size that a picture is scaled to, and the network's input size, which is padded to multiples."""
        card = self.card
        short, long = sorted((picture.width_px, picture.height_px))
        scale = min(card.short_side_px / short, card.longest_side_px / long)
        inner = FrameSize(max(1, round(picture.width_px * scale)), max(1, round(picture.height_px * scale)))
        step = card.multiple_of
        return inner, FrameSize(-(-inner.width_px // step) * step, -(-inner.height_px // step) * step)

    def maps(self, network: Network, blob: Floats) -> tuple[Floats, Floats]:
        """Return confidence maps `[P, H, W]` and fields `[C, H, W]`. Raises BadSettings if the card is wrong."""
        card, parts = self.card, len(self.card.parts)
        found = network(blob)
        if len(found) == 1:
            heatmaps, fields = found[0][0, :parts], found[0][0, parts + 1 :]
        else:
            heatmaps, fields = found[0][0, :parts], found[1][0]
        channels = max(max(limb.x, limb.y) for limb in card.limbs) + 1
        if len(heatmaps) < parts or len(fields) < channels or heatmaps.shape[1:] != fields.shape[1:]:
            shapes = ", ".join(str(array.shape) for array in found)
            raise BadSettings(card.name, f"expected {parts} maps and {channels} fields of one size, got {shapes}")
        return heatmaps, fields


class OpenPoseEstimator:
    """Finds all people in each picture; `motion.people.person_tracking` tracks them.

    Synchronous; used by one thread at a time. The first picture of each size compiles the network. The constructor
    processes a picture of a common size, and raises BadSettings if the card does not match its network.

    state: nothing is remembered between pictures, so it is always empty. Raises ValueError for any other.
    """

    detail = PoseDetail.BODY

    def __init__(self, model: OpenPoseModel, state: bytes = b"") -> None:
        if state:
            raise ValueError("a state of another backend")
        self._model = model
        self._min_parts = min(MIN_PARTS, len(model.card.parts))
        self._network: tuple[FrameSize, Network] | None = None
        self.spent = Spent()
        with card_checked(model.card.name):
            self.estimate(np.full((*_GREY_SIDES, 3), 128, np.uint8))

    def estimate(self, picture: Picture, time_s: float | None = None) -> Estimate:
        """Find the people in the next picture, `[H, W, 3]` uint8 RGB. The one with the highest score is the dancer."""
        started = time.perf_counter()
        size = FrameSize(picture.shape[1], picture.shape[0])
        inner, outer = self._model.input_size(size)
        blob = blob_of(padded(picture, inner, outer, grey=0), self._model.card.input)
        network = self._network_for(outer, blob.shape)
        before = time.perf_counter()
        heatmaps, fields = self._model.maps(network, blob)
        self.spent = Spent(before - started, time.perf_counter() - before)
        grouped = group(heatmaps, fields, self._model.card.limbs, self._min_parts)
        cell_px = outer.width_px / heatmaps.shape[2], outer.height_px / heatmaps.shape[1]
        scale = cell_px[0] * size.width_px / inner.width_px, cell_px[1] * size.height_px / inner.height_px
        people = poses_of(grouped, self._model.card.parts, scale, size)
        return Estimate(people, 0 if people else -1, time.perf_counter() - started)

    def close(self) -> None:
        """Release the network's memory."""
        self._network = None

    def _network_for(self, size: FrameSize, shape: tuple[int, ...]) -> Network:
        if self._network is None or self._network[0] != size:
            self._network = size, self._model.file.network(shape)
        return self._network[1]


def poses_of(grouped: Grouped, parts: tuple[int, ...], scale: tuple[float, float], size: FrameSize) -> list[Pose]:
    """Convert people in cells to poses in pixels of a frame.

    parts: index in BODY_25 of each part. scale: a cell's width and height in pixels of the frame. Joints outside the
    frame, in its padding, are unseen. If the network has no mid-hip, it is the middle of the hips.
    """
    poses = []
    for positions, confidences in zip(grouped.positions, grouped.confidence, strict=True):
        joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
        confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
        # Cells are measured from the centre of the first one, pixels from the frame's corner.
        joints_px[list(parts)] = (positions + 0.5) * np.array(scale, np.float32)
        inside = (joints_px >= 0).all(axis=1) & (joints_px <= (size.width_px, size.height_px)).all(axis=1)
        confidence[list(parts)] = confidences
        confidence[~inside] = 0
        if skeleton.MID_HIP not in parts and confidence[[skeleton.R_HIP, skeleton.L_HIP]].all():
            hips = [skeleton.R_HIP, skeleton.L_HIP]
            joints_px[skeleton.MID_HIP] = joints_px[hips].mean(axis=0)
            confidence[skeleton.MID_HIP] = confidence[hips].min()
        if confidence.any():
            poses.append(Pose(joints_px, confidence))
    return poses
