"""The shadow on the floor."""

from __future__ import annotations

import numpy as np
import pytest

from motion import skeleton
from motion.floor_shadow import STRENGTH_SIDE, Shadow, draw_shadow, fit_shadow, lay_shadow_under
from motion.pose import Pose
from tests.unit.motion.shadowed_footage import TRUE_SHADOW, filmed, moving_about
from tests.unit.motion.wardrobe.puppets import SIZE_PX, dancing, puppet


@pytest.fixture(scope="module")
def poses(standing: Pose) -> list[Pose]:
    """Twelve poses at three places."""
    return moving_about(standing)


@pytest.fixture(scope="module")
def fitted(poses: list[Pose]) -> Shadow | None:
    """The shadow fitted to footage with a known one."""
    return fit_shadow(*filmed(poses, TRUE_SHADOW))


def test_a_filmed_shadow_is_found(fitted: Shadow | None) -> None:
    """The fit finds where the light comes from, and that the wall shows no shadow."""
    assert fitted is not None
    assert fitted.lean == pytest.approx(TRUE_SHADOW.lean, abs=0.1)
    assert fitted.rise == pytest.approx(TRUE_SHADOW.rise, abs=0.06)
    assert fitted.strength[: 100 * STRENGTH_SIDE // SIZE_PX].max() < 30


def test_a_fitted_shadow_is_drawn_like_the_filmed_one(fitted: Shadow | None, standing: Pose) -> None:
    """For a new pose, the shadow lies where the true one would, about as dark."""
    assert fitted is not None
    pose = dancing(standing, (1.0, -0.3)).transformed(1, 1, -30, 0)
    _, mask = puppet(pose)
    drawn, true = draw_shadow(fitted, mask, pose).astype(int), draw_shadow(TRUE_SHADOW, mask, pose).astype(int)
    free = (mask == 0) & (true > 60)
    assert drawn[free].mean() == pytest.approx(true[free].mean(), rel=0.25)
    assert np.abs(drawn - true)[mask == 0].mean() < 0.1 * true[free].mean()


def test_footage_without_a_shadow_has_none(poses: list[Pose]) -> None:
    """Noise and the person's outline are no shadow."""
    assert fit_shadow(*filmed(poses, None)) is None


def test_few_frames_show_no_shadow(poses: list[Pose]) -> None:
    """With a handful of frames, a shadow and the place look alike."""
    assert fit_shadow(*filmed(poses[:4], TRUE_SHADOW)) is None


def test_without_feet_there_is_no_shadow(standing: Pose) -> None:
    """A person whose feet were not seen stands nowhere."""
    confidence = standing.confidence.copy()
    confidence[[skeleton.R_ANKLE, skeleton.L_ANKLE, *range(skeleton.L_BIG_TOE, skeleton.R_HEEL + 1)]] = 0
    pose = Pose(standing.joints_px, confidence)
    assert not draw_shadow(TRUE_SHADOW, puppet(standing)[1], pose).any()


def test_the_shadow_stays_on_the_floor_in_a_jump(standing: Pose) -> None:
    """Above the highest ground of the footage the feet are in the air, and the shadow leaves them."""
    ground_y = standing.joints_px[skeleton.L_HEEL, 1] / SIZE_PX
    shadow = Shadow(0.45, 0.2, 0.012, ground_y, TRUE_SHADOW.strength)
    jump = standing.transformed(1, 1, 0, -0.15 * SIZE_PX)
    rows = np.flatnonzero(draw_shadow(shadow, puppet(jump)[1], jump).max(axis=1) > 40)
    feet_y = jump.joints_px[[skeleton.L_HEEL, skeleton.R_HEEL], 1].max()
    assert rows.max() > feet_y + 0.05 * SIZE_PX


@pytest.mark.parametrize("foot", [0, 1])
@pytest.mark.parametrize("lean", [-0.45, 0.45])
def test_a_raised_foot_does_not_flatten_the_shadow(standing: Pose, foot: int, lean: float) -> None:
    """A foot behind the other slants the ground, but never so far that the shadow becomes a line."""
    shadow = Shadow(lean, 0.1, 0.012, 0.0, np.full_like(TRUE_SHADOW.strength, 200))
    joints = [
        (skeleton.R_ANKLE, skeleton.R_HEEL, skeleton.R_BIG_TOE, skeleton.R_SMALL_TOE),
        (skeleton.L_ANKLE, skeleton.L_HEEL, skeleton.L_BIG_TOE, skeleton.L_SMALL_TOE),
    ][foot]
    joints_px = standing.joints_px.copy()
    joints_px[list(joints), 1] -= 0.1 * SIZE_PX
    raised = Pose(joints_px, standing.confidence)
    mask = puppet(standing)[1]
    both_feet = draw_shadow(shadow, mask, standing).astype(int).sum()
    assert draw_shadow(shadow, mask, raised).astype(int).sum() > 0.35 * both_feet


def test_the_shadow_is_the_lowest_layer(standing: Pose) -> None:
    """Laid under a reference, the shadow is black beside the person and leaves the person as it was."""
    picture, mask = puppet(standing)
    reference = np.dstack([picture * (mask[..., None] > 0), mask])
    below = reference.copy()
    lay_shadow_under(below, TRUE_SHADOW, standing)
    assert (below[mask > 0] == reference[mask > 0]).all()
    assert not below[mask == 0][:, :3].any()
    assert below[mask == 0][:, 3].max() > 60
