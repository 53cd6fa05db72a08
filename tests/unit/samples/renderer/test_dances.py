"""What the actor's footage shows."""

import numpy as np
import pytest

from samples.renderer.dances import ACTOR_DANCE


@pytest.mark.parametrize("turn_deg", [0, 90, 180, -90])
def test_the_footage_shows_every_side_for_a_second_and_more(turn_deg: float) -> None:
    """The body stays within 25 degrees of front, both profiles and back for at least a second each."""
    turns = np.array([ACTOR_DANCE.pose_at(t).turn_deg for t in np.arange(0, ACTOR_DANCE.seconds, 1 / 15)])
    away = np.abs((turns - turn_deg + 180) % 360 - 180)
    assert (away < 25).sum() >= 15


def test_the_footage_shows_both_hands_open_and_closed() -> None:
    """Each hand is closed in at least four key poses, and open in most."""
    for name in ("left_fist", "right_fist"):
        closed = sum(getattr(pose, name) == 1 for pose in ACTOR_DANCE.key_poses)
        assert 4 <= closed <= len(ACTOR_DANCE.key_poses) / 2


def test_the_footage_shows_the_head_turned_against_the_body() -> None:
    """In profile and from behind, the head also turns back to the camera, so that the face is seen beside the back."""
    turned = [(pose.turn_deg, pose.head_turn_deg) for pose in ACTOR_DANCE.key_poses]
    for turn_deg in (90, -90, 180):
        assert any(turn == turn_deg and abs(head) >= 40 for turn, head in turned)
