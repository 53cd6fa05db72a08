"""A dancer to normalise, and the answers of a normaliser to it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from motion import skeleton
from motion.body import BodyStats
from motion.frame import FrameSize
from motion.pose import Pose
from motion.retarget import Retargeting
from services.normalize.normalizer import Normalized, Normalizer, NormalizerConfig, PoseFrame

SIZE = FrameSize(400, 300)
TARGET_SIZE = FrameSize(640, 480)
SOURCE = BodyStats(near_ankle_y=0.9, far_ankle_y=0.6, near_height=0.6, far_height=0.3, hip_x=0.5, frames=50)
TARGET = BodyStats(near_ankle_y=0.95, far_ankle_y=0.75, near_height=0.5, far_height=0.4, hip_x=0.3, frames=50)


def dancer(
    depth: float = 1.0, hip_x: float = 0.5, *, body: BodyStats = SOURCE, size: FrameSize = SIZE, **wiggle
) -> Pose:
    """A person standing upright `depth` of the way from far (0) to near (1), with a few joints around the middle.

    wiggle: seed=, a wiggle of half a pixel; without=, joints that are not seen.
    """
    ankle_y_px = size.height_px * (body.far_ankle_y + depth * (body.near_ankle_y - body.far_ankle_y))
    height_px = size.height_px * (body.far_height + depth * (body.near_height - body.far_height))
    x_px = hip_x * size.width_px
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, (skeleton.JOINT_COUNT, 2))
    joints[:] = (x_px, ankle_y_px - height_px / 2) + spread * height_px
    joints[[skeleton.NOSE, skeleton.NECK]] = (x_px, ankle_y_px - height_px)
    joints[skeleton.MID_HIP] = (x_px, ankle_y_px - height_px / 2)
    joints[[skeleton.L_ANKLE, skeleton.R_ANKLE]] = (x_px, ankle_y_px)
    confidence[:40] = 0.8
    if "seed" in wiggle:
        joints += np.random.default_rng(wiggle["seed"]).normal(0, 0.5, joints.shape)
    confidence[list(wiggle.get("without", ()))] = 0
    return Pose(joints, confidence)


def config(**changes) -> NormalizerConfig:
    """From SOURCE to TARGET at 25 fps, live."""
    values = {"target_body": TARGET, "target_size": TARGET_SIZE, "source_body": SOURCE, "frame_rate_hz": 25.0}
    return NormalizerConfig(**{**values, **changes})


def danced(poses: Sequence[Pose | None], **changes) -> list[Normalized]:
    """Return the answers to these poses, one frame each."""
    normalizer = Normalizer(config(**changes))
    answers = [a for i, pose in enumerate(poses) for a in normalizer.push(PoseFrame(i, SIZE, pose))]
    return answers + normalizer.finish()


FEET = (skeleton.L_ANKLE, skeleton.R_ANKLE)


def placed(answer: Normalized) -> Retargeting:
    """The retargeting of an answer that has one."""
    assert answer.retargeting is not None
    return answer.retargeting


def walk(frames: int) -> list[Pose]:
    """A dancer who stands far for a second, then walks near and back, over and over."""
    return [dancer(0.5 - 0.5 * np.cos(max(0, i - 25) / 20), seed=i) for i in range(frames)]
