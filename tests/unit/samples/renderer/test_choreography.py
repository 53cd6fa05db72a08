"""Properties of both dances at every moment."""

from dataclasses import fields

import numpy as np
import pytest

from samples.renderer.choreography import ARMS, ArmPose, Dance, FootPose, KeyPose
from samples.renderer.dances import ACTOR_DANCE, SOURCE_DANCE
from samples.renderer.geometry import Vector

DANCES = {"source": SOURCE_DANCE, "actor": ACTOR_DANCE}


def _numbers(pose: KeyPose) -> Vector:
    """Flatten a pose into one row."""
    values: list[float] = []
    for field in fields(KeyPose):
        value = getattr(pose, field.name)
        if isinstance(value, ArmPose):
            values += [*value.upper, *value.fore]
        elif isinstance(value, FootPose):
            values += [value.x, value.z, value.lift]
        else:
            values.append(value / (30 if field.name.endswith("deg") else 1))
    return np.array(values)


@pytest.mark.parametrize("dance", DANCES.values(), ids=DANCES)
def test_a_dance_never_jumps(dance: Dance) -> None:
    """At 50 pictures a second, nothing changes abruptly between two of them."""
    rows = np.stack([_numbers(dance.pose_at(float(t))) for t in np.arange(0, dance.seconds, 0.02)])
    assert np.abs(np.diff(rows, axis=0)).max() < 0.25


@pytest.mark.parametrize("dance", DANCES.values(), ids=DANCES)
def test_a_dance_ends_where_it_begins(dance: Dance) -> None:
    """A dance can be looped."""
    for seconds in (0.0, 0.3):
        again = _numbers(dance.pose_at(dance.seconds + seconds))
        np.testing.assert_allclose(again, _numbers(dance.pose_at(seconds)), atol=1e-9)


@pytest.mark.parametrize("dance", DANCES.values(), ids=DANCES)
def test_arm_directions_stay_unit(dance: Dance) -> None:
    """Arm directions are unit vectors, also half-way between opposite arms."""
    for seconds in np.linspace(0, min(dance.seconds, 20), 200):
        pose = dance.pose_at(float(seconds))
        for arm in (pose.left_arm, pose.right_arm):
            assert np.linalg.norm(arm.upper) == pytest.approx(1)
            assert np.linalg.norm(arm.fore) == pytest.approx(1)


def test_the_clip_lasts_six_seconds() -> None:
    assert SOURCE_DANCE.seconds == pytest.approx(6)
    assert ACTOR_DANCE.seconds == pytest.approx(20)


def test_the_footage_covers_the_clip() -> None:
    """The training footage covers the clip's squats, turns, depths and arm poses, so that the transfer is fair."""

    def span(dance: Dance, name: str) -> tuple[float, float]:
        values = [getattr(pose, name) for pose in dance.key_poses]
        return min(values), max(values)

    for name in ("squat", "turn_deg", "pelvis_x", "pelvis_z"):
        (low, high), (actor_low, actor_high) = span(SOURCE_DANCE, name), span(ACTOR_DANCE, name)
        assert actor_low <= low + 0.02
        assert actor_high >= high - 0.02
    danced = [arm for pose in ACTOR_DANCE.key_poses for arm in (pose.left_arm, pose.right_arm)]
    met = np.array([np.concatenate([arm.upper, arm.fore]) for arm in danced])
    for arm in ARMS.values():
        nearest = np.linalg.norm(met - np.concatenate([arm.upper, arm.fore]), axis=1).min()
        assert nearest < 0.35


def test_a_standing_foot_stands_still() -> None:
    """While the left foot steps, the right foot does not slide."""
    dance = SOURCE_DANCE
    early = [dance.pose_at(dance.beat_seconds * u).right_foot for u in (0.05, 0.2, 0.4)]
    assert early[0] == early[1] == early[2]
