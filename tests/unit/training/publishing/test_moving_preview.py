"""Which frames of the footage a preview shows."""

from dataclasses import replace

import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from serving.actors.preview import PREVIEW_FRAMES
from tests.unit.training.conftest import standing, walking_bar
from training.publishing.moving_preview import preview_frames

FRAMES = 160


@pytest.fixture
def footage(tmp_path):
    """A function that returns footage of a person who stands still, and walks in the frames `walks`."""

    def made(*walks: range, rate_hz: float = 12.0, starts: frozenset[int] = frozenset()):
        poses: list[Pose | None] = []
        x_px = 4.0
        for frame in range(FRAMES):
            x_px += 0.25 * any(frame in walk for walk in walks)
            poses.append(standing(x_px))
        return replace(walking_bar(tmp_path, FRAMES), poses=poses, frame_rate_hz=rate_hz, starts=starts)

    return made


def test_the_liveliest_two_seconds_are_shown(footage):
    """The person stands, walks and stands again: the preview shows all of the walk."""
    frames = preview_frames(footage(range(100, 100 + PREVIEW_FRAMES - 1)))
    assert frames == list(range(99, 99 + PREVIEW_FRAMES))


def test_of_fast_footage_every_second_frame_is_shown(footage):
    """A preview lasts as long at 24 frames a second as at 12."""
    frames = preview_frames(footage(range(61, 108), rate_hz=24.0))
    assert frames == list(range(60, 60 + 2 * PREVIEW_FRAMES, 2))


def test_a_preview_does_not_cross_a_cut_or_a_gap(footage):
    """The liveliest seconds have a cut within them, so the preview shows others."""
    cut = footage(range(60, 100), range(120, 130), starts=frozenset({80}))
    frames = preview_frames(cut)
    assert len(frames) == PREVIEW_FRAMES
    assert not {79, 80} <= set(frames)
    poses = list(cut.poses)
    poses[72:90] = [None] * 18
    gap = preview_frames(replace(cut, poses=poses))
    assert len(gap) == PREVIEW_FRAMES
    assert not set(range(72, 90)) & set(gap)


def test_frames_that_do_not_show_the_whole_person_come_second(footage):
    """The first walk shows no feet, so the preview shows the second one."""
    prepared = footage(range(20, 60), range(110, 140))
    poses = list(prepared.poses)
    for frame in range(20, 60):
        pose = poses[frame]
        confidence = pose.confidence.copy()
        confidence[[skeleton.L_ANKLE, skeleton.R_ANKLE]] = 0
        poses[frame] = Pose(pose.joints_px, confidence)
    assert preview_frames(replace(prepared, poses=poses))[0] >= 100


@pytest.mark.parametrize(("seen", "shown"), [(9, 9), (2, 2), (1, 0), (0, 0)])
def test_a_person_who_is_seen_for_a_moment_gets_a_shorter_preview_or_none(footage, seen, shown):
    """A preview moves, so it has at least two frames."""
    poses = [standing(4 + frame) if frame < seen else None for frame in range(FRAMES)]
    assert len(preview_frames(replace(footage(), poses=poses))) == shown


def test_a_person_who_never_moves_is_shown_all_the_same(footage):
    """There is nothing better to show."""
    assert len(preview_frames(footage())) == PREVIEW_FRAMES


def test_a_joint_that_is_not_seen_does_not_count_as_moving(footage):
    """Its coordinates mean nothing."""
    prepared = footage(range(100, 130))
    poses = list(prepared.poses)
    for frame in range(40, 70):  # an unseen joint leaps about
        joints_px = poses[frame].joints_px.copy()
        joints_px[skeleton.L_WRIST] = (31.0 * (frame % 2), 0)
        poses[frame] = Pose(joints_px, poses[frame].confidence)
    assert not np.any(poses[50].confidence[skeleton.L_WRIST])
    assert preview_frames(replace(prepared, poses=poses))[0] >= 95
