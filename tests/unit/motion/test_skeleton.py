"""The skeleton tables are complete and agree with the published formats."""

from __future__ import annotations

from itertools import pairwise

from motion import skeleton
from tests.mirrored_pose import BODY_FLIP, FACE_FLIP

KEYPOINTS_MEDIAPIPE = """
    0 Nose 0, 2 RShoulder 12, 3 RElbow 14, 4 RWrist 16, 5 LShoulder 11, 6 LElbow 13, 7 LWrist 15, 9 RHip 24,
    10 RKnee 26, 11 RAnkle 28, 12 LHip 23, 13 LKnee 25, 14 LAnkle 27, 15 REye 5, 16 LEye 2, 17 REar 8, 18 LEar 7,
    19 LBigToe 31, 21 LHeel 29, 22 RBigToe 32, 24 RHeel 30
"""
"""BODY_25 index, joint name, MediaPipe index."""

COCO_NAMES = (
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "RHip", "RKnee", "RAnkle", "LHip",
    "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar",
)  # fmt: skip
MEDIAPIPE_SIDES = {"L": 1, "R": 0}
MIRROR_FIXED_FACE = {8, 27, 28, 29, 30, 33, 51, 57, 62, 66}


def test_a_pose_has_137_joints():
    """A pose is BODY_25, 70 face points and two hands of 21 points, in that order and without gaps."""
    parts = (skeleton.BODY, skeleton.FACE, skeleton.LEFT_HAND, skeleton.RIGHT_HAND)
    assert [part.stop - part.start for part in parts] == [25, 70, 21, 21]
    assert [part.start for part in parts] == [0, 25, 95, 116]
    assert skeleton.JOINT_COUNT == parts[-1].stop == 137
    assert len(skeleton.BODY_NAMES) == skeleton.BODY_COUNT


def test_joint_constants_match_the_names():
    """Each constant, such as R_ANKLE, is the index of its name, RAnkle, in BODY_NAMES."""
    for index, name in enumerate(skeleton.BODY_NAMES):
        words = "".join(f"_{letter}" if letter.isupper() else letter for letter in name).strip("_").upper()
        assert getattr(skeleton, words) == index


def test_body_limbs_form_one_tree():
    """OpenPose's 24 limbs join all 25 joints into one tree."""
    assert len(skeleton.BODY_LIMBS) == 24
    joined = {skeleton.BODY_LIMBS[0][0]}
    for _ in skeleton.BODY_LIMBS:
        joined |= {joint for limb in skeleton.BODY_LIMBS if set(limb) & joined for joint in limb}
    assert joined == set(range(25))


def test_face_paths_are_complete():
    """Jaw, brows and nose are open lines, eyes and lips closed ones; the pupils are on none of them."""
    lines = {line for path in skeleton.FACE_PATHS for line in pairwise(path)}
    assert sum(len(path) - 1 for path in skeleton.FACE_PATHS) == len(lines) == 16 + 4 + 4 + 3 + 4 + 6 + 6 + 12 + 8
    assert {point for line in lines for point in line} == set(range(68))
    assert {(41, 36), (47, 42), (59, 48), (67, 60)} <= lines
    assert not {(16, 17), (21, 22), (26, 27), (30, 31), (35, 36)} & lines


def test_hand_lines_form_five_fingers():
    """Each finger runs from the wrist through its four points."""
    assert skeleton.HAND_LINES == (
        (0, 1), (1, 2), (2, 3), (3, 4), (0, 5), (5, 6), (6, 7), (7, 8), (0, 9), (9, 10), (10, 11), (11, 12),
        (0, 13), (13, 14), (14, 15), (15, 16), (0, 17), (17, 18), (18, 19), (19, 20),
    )  # fmt: skip


def test_body_table_is_symmetric_by_name():
    """Mirroring swaps R and L joints of the same name; nose, neck and mid-hip stay."""
    for index, name in enumerate(skeleton.BODY_NAMES):
        mirrored = skeleton.BODY_NAMES[BODY_FLIP[index]]
        swapped = {"L": "R", "R": "L"}.get(name[0], name[0]) + name[1:]
        assert mirrored == swapped


def test_face_lines_are_symmetric():
    """The mirror images of the face lines are face lines; only chin, nose bridge, septum and lip centres stay put."""
    assert {point for point in range(70) if FACE_FLIP[point] == point} == MIRROR_FIXED_FACE
    lines = [line for path in skeleton.FACE_PATHS for line in pairwise(path)]
    assert {frozenset((FACE_FLIP[a], FACE_FLIP[b])) for a, b in lines} == {frozenset(line) for line in lines}


def test_body_limbs_are_symmetric():
    """The mirror images of the body's limbs are limbs of the body."""
    limbs = {frozenset(limb) for limb in skeleton.BODY_LIMBS}
    assert {frozenset((BODY_FLIP[a], BODY_FLIP[b])) for a, b in skeleton.BODY_LIMBS} == limbs


def test_mediapipe_body_table():
    """Each BODY_25 joint comes from the published MediaPipe joint; from 11 on, odd indices are on the left."""
    published = [entry.split() for entry in KEYPOINTS_MEDIAPIPE.replace("\n", " ").split(",")]
    assert tuple((int(body), int(other)) for body, _, other in published) == skeleton.MEDIAPIPE_TO_BODY
    for body, other in skeleton.MEDIAPIPE_TO_BODY:
        name = skeleton.BODY_NAMES[body]
        if other >= 11:
            assert other % 2 == MEDIAPIPE_SIDES[name[0]], name
    assert skeleton.MEDIAPIPE_MEANS_TO_BODY == ((skeleton.NECK, 11, 12), (skeleton.MID_HIP, 23, 24))


def test_mediapipe_has_no_small_toes():
    """Every BODY_25 joint except the small toes comes from MediaPipe, exactly once."""
    filled = [body for body, _ in skeleton.MEDIAPIPE_TO_BODY] + [entry[0] for entry in skeleton.MEDIAPIPE_MEANS_TO_BODY]
    assert sorted(filled) == sorted(set(range(25)) - {skeleton.L_SMALL_TOE, skeleton.R_SMALL_TOE})


def test_coco_body_table():
    """COCO-18 joints have the same names as ours; mid-hip and feet have no counterpart."""
    assert len(skeleton.COCO18_TO_BODY) == len(COCO_NAMES) == 18
    for body, other in skeleton.COCO18_TO_BODY:
        assert skeleton.BODY_NAMES[body] == COCO_NAMES[other]
    assert {body for body, _ in skeleton.COCO18_TO_BODY} == set(range(19)) - {skeleton.MID_HIP}


def test_mesh_table_has_70_different_points():
    """The table holds 68 mesh points and then the two irises, right before left."""
    table = skeleton.MEDIAPIPE_MESH_TO_FACE
    assert len(table) == len(set(table)) == skeleton.FACE_COUNT
    assert table[68:] == (468, 473)
    assert max(table[:68]) < 468
    assert (table[8], table[30], table[33], table[36], table[45], table[48], table[54]) == (152, 4, 2, 33, 263, 61, 291)
