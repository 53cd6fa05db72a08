"""Making a wardrobe."""

from __future__ import annotations

import numpy as np
import pytest

from motion.pose import Pose
from motion.wardrobe.limbs import Limb
from motion.wardrobe.make import make_wardrobe, most_different
from motion.wardrobe.placing import measure_limbs, place
from tests.unit.motion.wardrobe.puppets import SIZE_PX, moved, puppet


def test_key_frames_are_the_most_different_ones() -> None:
    """Of many alike rows and few others, all the others are chosen."""
    rows = np.zeros((50, 3))
    rows[[7, 21, 40]] = np.eye(3)
    assert set(most_different(rows, 4)) >= {7, 21, 40}
    assert most_different(rows, 80).tolist() == list(range(50))
    assert most_different(np.full((2, 3), np.nan), 1).tolist() == [0]


def test_frames_keep_their_numbers(poses: list[Pose]) -> None:
    """Key frames are named by their numbers in the footage, which training needs to leave out near ones."""
    pictures, masks = zip(*map(puppet, poses), strict=True)
    numbers = [10 * index + 3 for index in range(len(poses))]
    wardrobe = make_wardrobe(pictures, masks, poses, numbers, most_key_frames=4)
    assert wardrobe.key_frames == 4
    assert set(wardrobe.frames.tolist()) <= set(numbers)
    assert (np.diff(wardrobe.frames) > 0).all()
    assert (wardrobe.width_px, wardrobe.height_px) == (SIZE_PX, SIZE_PX)


def test_making_reports_progress(poses: list[Pose]) -> None:
    """Progress counts key frames up to all of them; an exception from it stops the work."""
    pictures, masks = zip(*map(puppet, poses[:3]), strict=True)
    seen: list[tuple[int, int]] = []
    make_wardrobe(pictures, masks, poses[:3], range(3), on_progress=lambda done, of: seen.append((done, of)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (3, 3)

    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_wardrobe(pictures, masks, poses[:3], range(3), on_progress=stop)


def test_a_painted_limb_is_a_flaw(standing: Pose) -> None:
    """Where a prop was painted over a limb, other key frames are preferred."""
    picture, mask = puppet(standing)
    filmed = picture.copy()
    filmed[mask > 0] //= 2
    clean = make_wardrobe([picture] * 2, [mask] * 2, [standing] * 2, range(2), filmed=[picture] * 2).flaws
    painted = make_wardrobe([picture] * 2, [mask] * 2, [standing] * 2, range(2), filmed=[filmed, picture]).flaws
    assert (painted[0] > clean[0] + 0.5).all()
    assert np.allclose(painted[1], clean[1])


def test_a_blurred_frame_is_a_flaw(poses: list[Pose]) -> None:
    """Blur of motion counts against a piece."""
    pictures, masks = map(list, zip(*map(puppet, [poses[0]] * 4), strict=True))
    pictures[2] = np.full_like(pictures[2], 90)
    flaws = make_wardrobe(pictures, masks, [poses[0]] * 4, range(4)).flaws
    assert flaws[2, Limb.TORSO] > flaws[[0, 1, 3], Limb.TORSO].max()


def test_specks_beside_a_limb_are_no_part_of_its_piece(standing: Pose) -> None:
    """A small part of a limb's pixels that does not touch the rest would fly beside the moved limb."""
    picture, mask = puppet(standing)
    mask[:] = 0
    mask[70:110, 118:138] = 255
    clean = make_wardrobe([picture], [mask], [standing], [0])
    mask[114:117, 118:121] = 255
    assert np.array_equal(make_wardrobe([picture], [mask], [standing], [0]).corners_px[0, 0], clean.corners_px[0, 0])


def test_thighs_reach_under_the_shirt_in_the_colour_of_trousers(standing: Pose) -> None:
    """A hem in the thigh's piece would appear below the shirt's own where legs spread."""
    picture, mask = puppet(standing)
    body = place(standing, measure_limbs([standing]))
    hips_y = round(float(body.ends_px[Limb.TORSO, 1, 1]))
    green, violet = (30, 140, 110), (70, 50, 90)
    picture[: hips_y + 2] = green
    picture[hips_y + 2 :] = violet
    wardrobe = make_wardrobe([picture] * 2, [mask] * 2, [standing] * 2, range(2))
    thigh, torso = wardrobe.piece(0, Limb.RIGHT_THIGH), wardrobe.piece(0, Limb.TORSO)
    assert thigh is not None
    assert torso is not None
    assert np.abs(thigh[thigh[..., 3] > 250][:, :3].astype(int) - violet).max() < 12
    assert np.abs(np.median(torso[torso[..., 3] > 250][:, :3], axis=0) - green).max() < 2
    assert wardrobe.corners_px[0, Limb.RIGHT_THIGH, 1] < hips_y


def test_a_part_on_a_faint_bridge_is_left_out(standing: Pose) -> None:
    """The rest of a sleeve, joined to the shirt by faint pixels, would float beside the moved torso."""
    picture, mask = puppet(standing)
    mask[:] = 0
    mask[70:110, 122:142] = 255
    clean = make_wardrobe([picture], [mask], [standing], [0]).corners_px[0, Limb.TORSO]
    mask[100:108, 113:119] = 255
    mask[100:108, 119:122] = 155
    assert np.abs(make_wardrobe([picture], [mask], [standing], [0]).corners_px[0, Limb.TORSO] - clean).max() <= 2


def test_footage_without_a_person_is_refused(standing: Pose) -> None:
    """Without a limb in the picture the error says what is expected."""
    picture, mask = puppet(standing)
    with pytest.raises(ValueError, match="no frame shows a whole limb"):
        make_wardrobe([picture], [mask], [Pose.nothing_seen()], [0])
    with pytest.raises(ValueError, match="no frame shows a limb inside"):
        make_wardrobe([picture], [mask], [moved(standing, shift=(5000, 0))], [0])
    with pytest.raises(ValueError, match="no frame shows a limb inside"):
        make_wardrobe([picture], [np.zeros_like(mask)], [standing], [0])
