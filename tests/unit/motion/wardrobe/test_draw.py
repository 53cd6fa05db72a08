"""Drawing a reference."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from motion import skeleton
from motion.pose import Pose
from motion.wardrobe import draw
from motion.wardrobe.choose import NOTHING, Choice
from motion.wardrobe.draw import blank_reference, depth_order, draw_reference
from motion.wardrobe.limbs import LAYER_COUNT, LIMB_COUNT, UNDER_LAYERS, Limb
from motion.wardrobe.make import make_wardrobe
from motion.wardrobe.pieces import Wardrobe
from motion.wardrobe.placing import measure_limbs, place
from tests.unit.motion.wardrobe.puppets import SIZE_PX, dancing, moved, puppet, puppet_wardrobe

PLACE = (255, 0, 255)
"""The colour of everything that is not the person."""


def covered(reference: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return reference[..., 3] > 127


def overlap(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


def test_a_key_frames_pose_returns_its_person(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """Asked for the pose of a key frame, the reference shows that frame's person."""
    for pose in poses:
        picture, mask = puppet(pose)
        reference = draw_reference(wardrobe, pose).picture
        assert overlap(covered(reference), mask > 127) > 0.9
        difference = np.abs(reference[..., :3].astype(int) - picture)[reference[..., 3] > 250].mean()
        assert difference < 6


def test_moving_the_asked_pose_moves_the_reference(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """A pose shifted by whole pixels gets the same reference, shifted by as much."""
    still = draw_reference(wardrobe, poses[4]).picture
    shifted = draw_reference(wardrobe, moved(poses[4], shift=(9, -6))).picture
    assert np.abs(shifted[8:-40, 40:-40].astype(int) - still[14:-34, 31:-49]).max() <= 3


@pytest.mark.parametrize(("turn", "scale"), [(0.5, 1.0), (-0.8, 1.0), (0.0, 0.7), (0.3, 1.2)])
def test_turning_and_scaling_the_asked_pose_moves_the_reference_along(
    wardrobe: Wardrobe, poses: list[Pose], turn: float, scale: float
) -> None:
    """The reference of a turned or smaller person covers what that person would."""
    asked = moved(poses[1], turn=turn, scale=scale)
    _, mask = puppet(asked)
    assert overlap(covered(draw_reference(wardrobe, asked).picture), mask > 127) > 0.8


def test_a_mirrored_wardrobe_draws_the_mirrored_reference(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """Left and right are treated alike: mirrored footage and a mirrored pose give the mirrored reference."""
    pairs = [puppet(pose) for pose in poses]
    other = make_wardrobe(
        [picture[:, ::-1].copy() for picture, _ in pairs],
        [mask[:, ::-1].copy() for _, mask in pairs],
        [pose.mirrored(SIZE_PX / 2) for pose in poses],
        range(len(poses)),
    )
    asked = dancing(poses[0], (0.9, -0.4), (0.2, -0.3))
    one, two = draw_reference(wardrobe, asked).picture, draw_reference(other, asked.mirrored(SIZE_PX / 2)).picture
    difference = np.abs(one.astype(int) - two[:, ::-1])
    assert (difference.max(axis=2) > 24).mean() < 0.004


def test_no_pixel_comes_from_beside_the_person(poses: list[Pose]) -> None:
    """Whatever the footage shows outside the person's mask, the reference has none of it."""
    pictures, masks = [], []
    for pose in poses:
        picture, mask = puppet(pose)
        picture[mask < 70] = PLACE
        pictures.append(np.where(picture == PLACE, picture, picture // 2).astype(np.uint8))
        masks.append(mask)
    wardrobe = make_wardrobe(pictures, masks, poses, range(len(poses)))
    for angle in np.linspace(-1.5, 1.5, 7):
        reference = draw_reference(wardrobe, dancing(poses[0], (angle, -angle), (angle / 3, 0))).picture
        assert reference[..., 3].any()
        assert reference[..., :3].max() <= 128


def test_colours_never_exceed_their_coverage(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """The reference is premultiplied everywhere."""
    reference = draw_reference(wardrobe, dancing(poses[0], (1.0, -0.7))).picture
    assert (reference[..., :3] <= reference[..., 3:]).all()


@settings(max_examples=40)
@given(hidden=st.sets(st.integers(0, skeleton.BODY_COUNT - 1)), parts=st.integers(0, 7), seed=st.integers(0, 2**16))
def test_any_joints_may_be_missing(
    wardrobe: Wardrobe, poses: list[Pose], hidden: set[int], parts: int, seed: int
) -> None:
    """Whichever joints were not seen, a reference is drawn, and limbs that cannot be placed are left out."""
    confidence = poses[0].confidence.copy()
    confidence[list(hidden)] = 0
    for number, part in enumerate((skeleton.FACE, skeleton.LEFT_HAND, skeleton.RIGHT_HAND)):
        if parts >> number & 1:
            confidence[part] = 0
    confidence[np.random.default_rng(seed).random(len(confidence)) < 0.1] = 0
    pose = Pose(poses[0].joints_px, confidence)
    reference = draw_reference(wardrobe, pose)
    assert reference.picture.shape == (SIZE_PX, SIZE_PX, 4)
    if not place(pose, wardrobe.limb_lengths_px).placed.any():
        assert not reference.picture.any()


@settings(max_examples=40)
@given(seed=st.integers(0, 2**16), spread=st.sampled_from([0.0, 1.0, 300.0, 1e5]))
def test_joints_may_be_anywhere(wardrobe: Wardrobe, seed: int, spread: float) -> None:
    """Poses outside the picture, in one point or scattered at random are drawn without an error."""
    random = np.random.default_rng(seed)
    joints_px = random.normal(128, 1, (skeleton.JOINT_COUNT, 2)) * max(spread, 1) if spread else np.full((137, 2), 77.0)
    pose = Pose(joints_px.astype(np.float32), np.ones(skeleton.JOINT_COUNT, np.float32))
    assert draw_reference(wardrobe, pose).picture.dtype == np.uint8


def test_a_pose_without_joints_covers_nothing(wardrobe: Wardrobe) -> None:
    """A pose in which no joint was seen has an empty reference."""
    assert np.array_equal(draw_reference(wardrobe, Pose.nothing_seen()).picture, blank_reference(SIZE_PX, SIZE_PX))


def test_one_key_frame_is_enough(poses: list[Pose]) -> None:
    """A wardrobe of a single frame draws any pose."""
    alone = puppet_wardrobe(poses[:1])
    assert alone.key_frames == 1
    _, mask = puppet(poses[5])
    assert overlap(covered(draw_reference(alone, poses[5]).picture), mask > 127) > 0.7


def test_drawing_is_deterministic(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """The same pose and choice always become the same bytes."""
    before = draw_reference(wardrobe, poses[2]).choice
    first, second = draw_reference(wardrobe, poses[3], before), draw_reference(wardrobe, poses[3], before)
    assert first.choice == second.choice
    assert first.picture.tobytes() == second.picture.tobytes()


def test_limbs_left_out_are_not_drawn(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """In training, limbs can be left out, so that the network learns to draw what is missing."""
    whole = draw_reference(wardrobe, poses[5]).picture
    without = draw_reference(wardrobe, poses[5], left_out=(Limb.RIGHT_FOREARM, Limb.RIGHT_HAND)).picture
    assert 0 < without[..., 3].sum() < whole[..., 3].sum()
    assert not draw_reference(wardrobe, poses[5], left_out=tuple(Limb)).picture.any()


def test_only_allowed_key_frames_are_used(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """In training, a reference never comes from the key frames near its frame; without any, nothing is drawn."""
    allowed = np.arange(wardrobe.key_frames) >= 6
    reference = draw_reference(wardrobe, poses[0], allowed=allowed)
    assert min(reference.choice.key_frames) >= 6
    nothing = draw_reference(wardrobe, poses[0], allowed=np.zeros(wardrobe.key_frames, np.bool_))
    assert set(nothing.choice.key_frames) == {NOTHING}
    assert not nothing.picture.any()


def test_noise_changes_the_choice(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """In training, noise makes the reference as imperfect as that of a pose which the footage lacks."""
    noise = np.random.default_rng(0).normal(0, 5, (wardrobe.key_frames, LIMB_COUNT))
    assert draw_reference(wardrobe, poses[0], noise=noise).choice != draw_reference(wardrobe, poses[0]).choice


def test_the_choice_before_keeps_the_reference_steady(wardrobe: Wardrobe, standing: Pose) -> None:
    """Each frame keeps the key frames of the one before unless others are clearly better."""
    dance = [dancing(standing, (0.02 * step, -0.02 * step), (0.005 * step, 0)) for step in range(100)]

    def changes(choices: list[Choice]) -> int:
        return sum(
            one != other for a, b in pairwise(choices) for one, other in zip(a.key_frames, b.key_frames, strict=True)
        )

    free = [draw_reference(wardrobe, pose).choice for pose in dance]
    steady = [free[0]]
    for pose in dance[1:]:
        steady.append(draw_reference(wardrobe, pose, steady[-1]).choice)
    assert changes(steady) <= 0.5 * changes(free)


def test_a_choice_of_another_wardrobe_is_no_error(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """A choice that names key frames beyond this wardrobe's is ignored."""
    strange = Choice((30000,) * LAYER_COUNT)
    assert draw_reference(wardrobe, poses[0], strange).choice == draw_reference(wardrobe, poses[0]).choice


def test_every_limb_has_its_place_in_the_order(standing: Pose) -> None:
    """All limbs are drawn once; the head is above the torso, and hands are above their forearms."""
    for pose in (standing, Pose.nothing_seen(), dancing(standing, (0, 0), (1.4, 0))):
        order = depth_order(place(pose, measure_limbs([standing])))
        assert sorted(order) == list(Limb)
        assert order.index(Limb.HEAD) > order.index(Limb.TORSO)


def test_a_raised_thigh_is_before_the_torso(standing: Pose) -> None:
    """A knee at the hip's height belongs to a thigh that points at the camera or to the side, before the shirt."""
    lengths_px = measure_limbs([standing])
    straight = depth_order(place(standing, lengths_px))
    raised = depth_order(place(dancing(standing, (0, 0), (1.4, 0)), lengths_px))
    assert straight.index(Limb.RIGHT_THIGH) < straight.index(Limb.TORSO)
    assert raised.index(Limb.RIGHT_THIGH) > raised.index(Limb.TORSO)


def test_the_neck_is_filled_without_a_second_face(
    wardrobe: Wardrobe, poses: list[Pose], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under all limbs, left out here, lies the lower end of the head: nothing of it reaches up to the nose."""
    monkeypatch.setattr(draw, "move_limb", lambda *_: None)
    for pose in poses:
        rows = np.flatnonzero(draw_reference(wardrobe, pose).picture[..., 3].any(axis=1))
        assert rows.size
        assert rows.min() > pose.joints_px[skeleton.NOSE, 1]
        assert rows.max() > pose.joints_px[skeleton.NECK, 1]


def test_the_layer_below_fills_a_hole_in_the_torso(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """Where the torso's best piece has a hole, its middle from another key frame is seen."""
    pixels = wardrobe.pixels.copy()
    counts = wardrobe.corners_px[..., 2:].prod(axis=-1)
    starts = (counts.cumsum() - counts.ravel()).reshape(counts.shape)
    for start, count in zip(starts[:, Limb.TORSO], counts[:, Limb.TORSO], strict=True):
        pixels[start : start + count] = 0
    holed = replace(wardrobe, pixels=pixels)
    below = draw_reference(holed, poses[2]).choice.key_frames[LIMB_COUNT + UNDER_LAYERS.index(Limb.TORSO)]
    noise = np.zeros((holed.key_frames, LIMB_COUNT))
    noise[below, Limb.TORSO] = 10  # so that the two layers come from different frames
    x, y = np.rint(poses[2].joints_px[[skeleton.NECK, skeleton.MID_HIP]].mean(axis=0)).astype(int)
    assert draw_reference(holed, poses[2], noise=noise).picture[y, x, 3] > 200
    assert draw_reference(holed, poses[2], noise=noise, left_out=(Limb.TORSO,)).picture[y, x, 3] == 0


def test_outlines_are_soft(wardrobe: Wardrobe, poses: list[Pose]) -> None:
    """From inside the person to outside, the coverage falls over more than a pixel."""
    coverage = draw_reference(wardrobe, poses[3]).picture[..., 3].astype(int)
    steps = np.abs(np.diff(coverage, axis=1))
    assert (coverage == 255).any()
    assert steps.max() < 230
