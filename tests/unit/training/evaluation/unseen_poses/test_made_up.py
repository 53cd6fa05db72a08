"""Made-up poses: the actor's own body where the footage never shows it."""

import numpy as np
import pytest

from motion import skeleton
from motion.pose import Pose
from training.evaluation.unseen_poses.made_up import FIGURES, Figure, made_up, unseen_poses

FIGURE = {
    "Nose": (50, 20), "Neck": (50, 30), "RShoulder": (42, 30), "RElbow": (40, 42), "RWrist": (39, 53),
    "LShoulder": (58, 30), "LElbow": (60, 42), "LWrist": (61, 53), "MidHip": (50, 55), "RHip": (45, 55),
    "RKnee": (45, 72), "RAnkle": (45, 88), "LHip": (55, 55), "LKnee": (55, 72), "LAnkle": (55, 88), "REye": (48, 18),
    "LEye": (52, 18), "REar": (46, 19), "LEar": (54, 19), "LBigToe": (57, 92), "LHeel": (54, 90), "RBigToe": (43, 92),
    "RHeel": (46, 90),
}  # fmt: skip


def standing(**moved):
    """A person facing the camera; moved: joints elsewhere, by name."""
    joints_px = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for name, place in (FIGURE | moved).items():
        index = skeleton.BODY_NAMES.index(name)
        joints_px[index], confidence[index] = place, 0.9
    for hand, wrist in ((skeleton.LEFT_HAND, "LWrist"), (skeleton.RIGHT_HAND, "RWrist")):
        joints_px[hand] = np.array((FIGURE | moved)[wrist]) + np.linspace(0, 5, 21)[:, None] * [0.1, 1]
        confidence[hand] = 0.9
    return Pose(joints_px, confidence)


def named(name):
    return next(figure for figure in FIGURES if figure.name == name)


def posed(figure):
    pose = made_up(standing(), figure)
    assert pose is not None
    return pose


def bones_px(pose):
    seen = [(a, b) for a, b in skeleton.BODY_LIMBS if pose.seen[a] and pose.seen[b]]
    return [float(np.linalg.norm(pose.joints_px[a] - pose.joints_px[b])) for a, b in seen]


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
def test_a_made_up_pose_keeps_every_bone(figure):
    """Limbs are turned, not stretched, and the lowest foot stays on the ground."""
    pose, base = posed(figure), standing()
    assert sorted(bones_px(pose)) == pytest.approx(sorted(bones_px(base)), abs=1e-3)
    assert pose.joints_px[pose.seen, 1].max() == pytest.approx(92, abs=1e-3)
    assert sorted(pose.confidence.tolist()) == sorted(base.confidence.tolist())


def test_figures_are_what_their_names_say():
    """Arms out are level and point away from the body; arms up are above the head; a squat lowers the hips."""
    out, up, squat = posed(named("arms out")), posed(named("arms up")), posed(named("squat"))
    right, left = out.joints_px[skeleton.R_WRIST], out.joints_px[skeleton.L_WRIST]
    assert right[0] < 30
    assert left[0] > 70
    assert right[1] == pytest.approx(30, abs=0.1)
    assert up.joints_px[[skeleton.R_WRIST, skeleton.L_WRIST], 1].max() < up.joints_px[skeleton.NOSE, 1]
    assert squat.joints_px[skeleton.MID_HIP, 1] > 60
    hand_px = out.joints_px[skeleton.LEFT_HAND]
    assert hand_px[-1, 0] > left[0] + 4  # hands go along with the arm


def test_a_person_seen_from_behind_moves_the_same_way():
    """Away from the body is to the other side of the picture when left and right are swapped there."""
    behind = standing(**{a: FIGURE[b] for a, b in (("RShoulder", "LShoulder"), ("LShoulder", "RShoulder"),
                                                   ("RElbow", "LElbow"), ("LElbow", "RElbow"),
                                                   ("RWrist", "LWrist"), ("LWrist", "RWrist"))})  # fmt: skip
    pose = made_up(behind, named("arms out"))
    assert pose is not None
    assert pose.joints_px[skeleton.R_WRIST, 0] > 70


def test_only_poses_that_the_footage_lacks_are_asked_for():
    """A figure that some frame comes near is left out; the same footage always asks for the same poses."""
    footage = [standing(), standing(RWrist=(38, 53))]
    asked = unseen_poses(footage, 100, 100)
    assert {"arms out", "arms up", "squat"} <= set(asked)
    assert "mirrored" not in asked  # a person who stands symmetrically looks the same mirrored
    seen = posed(named("arms out"))
    assert "arms out" not in unseen_poses([*footage, seen], 100, 100)
    again = unseen_poses(footage, 100, 100)
    assert all(np.array_equal(again[name].joints_px, pose.joints_px) for name, pose in asked.items())


def test_poses_stay_in_the_picture():
    """A figure that is higher or wider than the picture is drawn smaller, as of a person farther away."""
    for pose in unseen_poses([standing()], 100, 100).values():
        assert (pose.joints_px[pose.seen] >= 2.9).all()
        assert (pose.joints_px[pose.seen] <= 97.1).all()


def test_footage_without_a_body_asks_for_nothing(prepared):
    """Figures need their joints: without arms there are none of the arms, without a torso none at all."""
    assert unseen_poses([Pose.nothing_seen()], 100, 100) == {}
    assert made_up(prepared.poses[0], Figure(name="arms", arms={"left": (90, 90)})) is None
