"""A tiny actor, a coloured bar that walks across a textured place, and a recipe that trains it in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from motion import skeleton
from motion.body import BodyStats
from motion.crop import Crop
from motion.face_region import FaceRule
from motion.frame import FrameSize
from motion.labelmap import draw_label_map
from motion.pose import Pose
from serving.actors.store import NetworkShape
from training import preset_setup
from training.data.prepared_footage import PreparedFootage
from training.job import JobSettings
from training.presets import Preset

SIDE = 32


def standing(x_px: float, *, face: bool = True) -> Pose:
    """An upright person of 24 pixels at `x_px` in a picture of 32."""
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    seen = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, (dx, y) in {
        skeleton.NOSE: (0, 6), skeleton.NECK: (0, 9), skeleton.MID_HIP: (0, 17), skeleton.R_SHOULDER: (-3, 9),
        skeleton.L_SHOULDER: (3, 9), skeleton.R_ANKLE: (-2, 28), skeleton.L_ANKLE: (2, 28),
    }.items():  # fmt: skip
        joints[joint], seen[joint] = (x_px + dx, y), 1
    if face:
        turn = np.linspace(0, 2 * np.pi, skeleton.FACE_COUNT, endpoint=False)
        joints[skeleton.FACE] = np.stack([x_px + 3 * np.cos(turn), 6 + 3 * np.sin(turn)], axis=1)
        seen[skeleton.FACE] = 1
    return Pose(joints, seen)


def walking_bar(folder, frames: int = 24, *, onto=None) -> PreparedFootage:
    """Footage of `frames` frames, as preparation leaves it."""
    random = np.random.default_rng(7)
    plate = random.integers(60, 200, (SIDE, SIDE, 3), np.uint8) if onto is None else onto
    poses = [standing(8 + 16 * frame / frames) for frame in range(frames)]
    pictures = np.repeat(plate[None], frames, axis=0)
    masks = np.zeros((frames, SIDE, SIDE), np.uint8)
    for frame, pose in enumerate(poses):
        x_px = round(float(pose.joints_px[skeleton.NECK, 0]))
        pictures[frame, 3:30, x_px - 3 : x_px + 4] = (200, 40, 60)
        masks[frame, 3:30, x_px - 3 : x_px + 4] = 255
    return PreparedFootage(
        folder=folder / "footage",
        pictures=pictures,
        targets=pictures,
        labels=np.stack([draw_label_map(pose, SIDE, SIDE) for pose in poses]),
        masks=masks,
        props=np.zeros_like(masks),
        poses=list(poses),
        plate=plate,
        crop=Crop(0, 0, SIDE, SIDE, SIDE, SIDE),
        frame_size=FrameSize(SIDE, SIDE),
        frame_rate_hz=24.0,
        body=BodyStats(0.9, 0.85, 0.7, 0.65, 0.5, frames),
        report={
            "frames": frames,
            "frames_with_a_person": frames,
            "frames_with_props": 0,
            "frames_with_shadows": 0,
            "frames_with_either": 0,
            "frames_lost": 0,
        },
    )


@pytest.fixture(autouse=True)
def denormals_kept() -> Iterator[None]:
    """A job on a CPU flushes them in its thread for good, which here is that of other tests too."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture
def prepared(tmp_path) -> PreparedFootage:
    return walking_bar(tmp_path)


@pytest.fixture
def pose_at():
    """The function `standing`."""
    return standing


def tiny_preset() -> Preset:
    """A recipe whose steps take milliseconds, in float32 so that results are bit-identical."""
    return Preset(
        name="tiny",
        width_px=SIDE,
        height_px=SIDE,
        generator=NetworkShape(base_channels=4, downsamplings=1, blocks=1, plate=True),
        face=NetworkShape(base_channels=4, downsamplings=1, blocks=1),
        minutes=0.1,
        discriminator_channels=4,
        discriminator_layers=2,
        face_discriminator_channels=4,
        precision="f32",
        face_rule=FaceRule(side_per_face_size=2.0, min_side_px=8, crop_px=16),
    )


@pytest.fixture
def tiny() -> Preset:
    """The result of `tiny_preset`."""
    return tiny_preset()


@dataclass
class FakeEstimator:
    """In the place of `mediapipe_estimator`: finds the same person in every bright picture, and counts its pictures."""

    looked: int = 0
    started: int = 0
    alone: bool = False

    def __call__(self, detail=None, *, rules=None, with_mask=False, unrelated_pictures=False):
        self.started += 1
        return self

    def close(self):
        return None

    def estimate(self, picture):
        self.looked += 1
        if picture.mean() < 10 or self.alone:
            return SimpleNamespace(dancer=None, mask=None)
        return SimpleNamespace(dancer=standing(16), mask=np.full(picture.shape[:2], 0.5, np.float32))


@pytest.fixture
def fake_estimator(monkeypatch) -> FakeEstimator:
    fake = FakeEstimator()
    monkeypatch.setattr("training.preparation.detections.mediapipe_estimator", fake)
    monkeypatch.setattr("training.evaluation.metrics.mediapipe_estimator", fake)
    monkeypatch.setattr("training.preparation.other_people.mediapipe_estimator", FakeEstimator(alone=True))
    return fake


@pytest.fixture
def settings(prepared, tiny, tmp_path, monkeypatch, fake_estimator):
    """A job on the tiny actor, whose preparation is already done."""
    monkeypatch.setattr(preset_setup, "prepare", lambda *arguments, **options: prepared)
    (tmp_path / "footage.mp4").write_bytes(b"footage")
    return JobSettings(
        footage=tmp_path / "footage.mp4",
        actor="bar",
        store_root=tmp_path / "actors",
        work_root=tmp_path / "work",
        preset=tiny,
        pictures=8,
        consent="drawn by ourselves",
        publish_anyway=True,  # networks that have seen eight pictures beat nothing
    )
