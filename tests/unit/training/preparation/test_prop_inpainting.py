"""Props in front of the person are found by the body's usual appearance, and painted over."""

from __future__ import annotations

import numpy as np
import pytest

from motion import skeleton
from training.preparation.prop_inpainting import BodyTexture

SIDE = 96
PERSON = (40, 60, 160)
BALL = (250, 250, 250)


def _scaled(pose):
    return pose.transformed(SIDE / 32, SIDE / 32)


@pytest.fixture
def clip(pose_at):
    """30 frames of a bar of one colour on a grey place, with a ball in front of it that rises."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    pictures, clean, masks, poses = [], [], [], []
    for frame in range(30):
        pose = _scaled(pose_at(10 + 0.4 * frame))
        middle_px = (10 + 0.4 * frame) * SIDE / 32
        mask = (np.abs(columns - middle_px) < 12) & (rows > 10) & (rows < 90)
        without = np.where(mask[..., None], PERSON, (128, 128, 128)).astype(np.uint8)
        ball = np.hypot(columns - middle_px, rows - (80 - 1.5 * frame)) < 6
        pictures.append(np.where(ball[..., None], BALL, without).astype(np.uint8))
        clean.append(without)
        masks.append(np.where(mask, 255, 0).astype(np.uint8))
        poses.append(pose)
    return pictures, clean, masks, poses


def test_a_ball_in_front_gives_way_to_the_body(clip):
    """An object at another place in every frame is replaced by the body's own colour."""
    pictures, clean, masks, poses = clip
    texture = BodyTexture(pictures, masks, poses)
    plate, beside = np.full((SIDE, SIDE, 3), 128, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for frame in (5, 15, 25):
        painted = texture.cleaned(pictures[frame], masks[frame], poses[frame], plate, beside)
        before = np.abs(pictures[frame].astype(int) - clean[frame]).mean()
        assert np.abs(painted.astype(int) - clean[frame]).mean() < 0.25 * before


def test_letters_on_the_back_are_no_prop(clip):
    """What the person's back shows differs from the front in every frame that shows the back, and stays."""
    _, pictures, masks, poses = clip
    rows = np.arange(SIDE)[:, None]
    for frame in range(0, 30, 3):  # every third frame shows the back: left and right change places
        middle_px = poses[frame].joints_px[skeleton.MID_HIP, 0]
        poses[frame] = poses[frame].transformed(-1, 1, 2 * middle_px, 0)
        letters = (masks[frame] > 0) & (rows > 30) & (rows < 50)
        pictures[frame] = np.where(letters[..., None], BALL, pictures[frame]).astype(np.uint8)
    texture = BodyTexture(pictures, masks, poses)
    plate, beside = np.full((SIDE, SIDE, 3), 128, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    for frame in (3, 4):
        painted = texture.cleaned(pictures[frame], masks[frame], poses[frame], plate, beside)
        assert np.array_equal(painted, pictures[frame])


def test_a_person_without_props_stays_as_it_is(clip):
    """If nothing differs from the usual, no pixel changes."""
    _, clean, masks, poses = clip
    texture = BodyTexture(clean, masks, poses)
    plate, beside = np.full((SIDE, SIDE, 3), 128, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    assert np.array_equal(texture.cleaned(clean[3], masks[3], poses[3], plate, beside), clean[3])


def test_a_prop_beside_the_person_gives_way_to_the_plate(clip):
    """A prop beside the person is replaced by the place."""
    _, clean, masks, poses = clip
    texture = BodyTexture(clean, masks, poses)
    plate = np.full((SIDE, SIDE, 3), 128, np.uint8)
    picture, beside = clean[0].copy(), np.zeros((SIDE, SIDE), np.uint8)
    picture[40:50, 70:80], beside[40:50, 70:80] = BALL, 255
    assert (texture.cleaned(picture, masks[0], poses[0], plate, beside)[42:48, 72:78] == 128).all()


def test_frames_without_a_torso_are_left_alone(clip, pose_at):
    """Without neck and hips, pixels have no place on the body, and nothing changes."""
    pictures, _, masks, poses = clip
    texture = BodyTexture(pictures, masks, poses)
    nobody = type(poses[0]).nothing_seen()
    plate, beside = np.full((SIDE, SIDE, 3), 128, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    assert np.array_equal(texture.cleaned(pictures[9], masks[9], nobody, plate, beside), pictures[9])


def test_no_frames_are_refused():
    """Without a frame there is no body to learn."""
    with pytest.raises(ValueError, match="0 pictures"):
        BodyTexture([], [], [])
