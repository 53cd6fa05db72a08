"""OpenPose's JSON is read, written without loss, and rejected with a precise message if it is invalid."""

from __future__ import annotations

import json

import numpy as np
import pytest

from motion import skeleton
from motion.keypoint_files.openpose_json import BadKeypoints, KeypointsPerson, parse_people, people_text
from motion.pose import Pose


def random_pose(seed: int = 0) -> Pose:
    """Return a pose with random joints in a frame of 1000 pixels, some of them unseen."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0, 1, skeleton.JOINT_COUNT).astype(np.float32)
    confidence[rng.uniform(size=skeleton.JOINT_COUNT) < 0.2] = 0
    return Pose(rng.uniform(0, 1000, (skeleton.JOINT_COUNT, 2)).astype(np.float32), confidence)


def same(one: Pose, other: Pose) -> bool:
    return bool((one.joints_px == other.joints_px).all() and (one.confidence == other.confidence).all())


def entry(parts: int = 25, **more) -> dict:
    """Return a person as OpenPose 1.2 writes one, with joint i at (10 i, 20 i)."""
    return {"pose_keypoints_2d": [number for i in range(parts) for number in (10 * i, 20 * i, 0.9)], **more}


def parsed_pose(file: str) -> Pose:
    """Return the pose of a file with one person."""
    (person,) = parse_people(file)
    return person.pose


def text(*people, version=1.3, **more) -> str:
    return json.dumps({"version": version, "people": list(people), **more})


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1080 / 720, 1919 / 1279), (3.0, 1 / 3)])
def test_writing_and_reading_is_lossless(scale):
    """Positions, confidences and person numbers survive bit by bit, even if frames were scaled."""
    written = people_text([KeypointsPerson(random_pose(1), 4), KeypointsPerson(random_pose(2))], scale)
    one, two = parse_people(written, "f", (1 / scale[0], 1 / scale[1]))
    assert (one.person_id, two.person_id) == (4, None)
    assert same(one.pose, random_pose(1))
    assert same(two.pose, random_pose(2))


def test_the_written_layout_is_openpose_1_3():
    """The file has version 1.3 and all of OpenPose's keys, with 75, 210, 63 and 63 numbers."""
    document = json.loads(people_text([KeypointsPerson(random_pose())]))
    assert document["version"] == 1.3
    (person,) = document["people"]
    assert person["person_id"] == [-1]
    lengths = [len(person[f"{name}_keypoints_2d"]) for name in ("pose", "face", "hand_left", "hand_right")]
    assert lengths == [75, 210, 63, 63]
    assert all(person[f"{name}_keypoints_3d"] == [] for name in ("pose", "face", "hand_left", "hand_right"))


@pytest.mark.parametrize("version", [1.1, 1.2, 1.3])
def test_bodies_without_face_and_hands_are_read(version):
    """Empty lists and missing keys leave a part unseen; several people keep their order."""
    one, two = parse_people(text(entry(), entry(face_keypoints_2d=[], hand_left_keypoints_2d=[]), version=version))
    for person in (one, two):
        assert person.pose.seen[skeleton.BODY].all()
        assert not person.pose.seen[skeleton.FACE.start :].any()
        assert person.pose.joints_px[skeleton.L_ANKLE].tolist() == [140, 280]


def test_older_key_names_are_read():
    """Keys without "_2d", as before version 1.2, are read."""
    pose = parsed_pose(text({"pose_keypoints": entry()["pose_keypoints_2d"]}, version=1.1))
    assert pose.joints_px[skeleton.NECK].tolist() == [10, 20]


def test_coco_bodies_become_body_25():
    """18 parts map to the joints of the same names, mid-hip lies between the hips, and the feet are unseen."""
    pose = parsed_pose(text(entry(18)))
    assert pose.joints_px[skeleton.R_HIP].tolist() == [80, 160]
    assert pose.joints_px[skeleton.L_HIP].tolist() == [110, 220]
    assert pose.joints_px[skeleton.MID_HIP].tolist() == [95, 190]
    assert not pose.seen[19:25].any()


HALPE = {0: 0, 1: 16, 2: 15, 3: 18, 4: 17, 5: 5, 6: 2, 7: 6, 8: 3, 9: 7, 10: 4, 11: 12, 12: 9, 13: 13, 14: 10,
         15: 14, 16: 11, 20: 19, 21: 22, 22: 20, 23: 23, 24: 21, 25: 24}  # fmt: skip
"""The BODY_25 index of each Halpe-26 part except head, neck and hip; the first 17 are COCO's."""


@pytest.mark.parametrize(("parts", "unseen"), [(17, set(range(19, 25))), (26, set())])
def test_coco_17_and_halpe_bodies_become_body_25(parts, unseen):
    """17 and 26 parts map to the joints of the same names; neck and mid-hip are midpoints of shoulders and hips."""
    pose = parsed_pose(text(entry(parts)))
    for source, joint in HALPE.items():
        if source < parts:
            assert pose.joints_px[joint].tolist() == [10 * source, 20 * source]
    assert pose.joints_px[skeleton.NECK].tolist() == [55, 110]
    assert pose.joints_px[skeleton.MID_HIP].tolist() == [115, 230]
    assert set(np.flatnonzero(~pose.seen[skeleton.BODY]).tolist()) == unseen


@pytest.mark.parametrize(
    "frame",
    [
        {"people": [entry()]},
        {"version": None, "people": [entry()]},
        {"version": "1.3", "people": [entry()]},
        {"version": 0.1, "people": [entry()]},
        {"version": 1.3, "people": [entry(face_keypoints_2d=None, hand_left_keypoints_2d=None, person_id=None)]},
        {"people": [entry(person_id=4, hand_right_keypoints_2d=[None] * 63)], "canvas_width": 512},
    ],
)
def test_files_of_other_programs_are_read(frame):
    """A missing, quoted or AlphaPose version, null for missing parts and a plain person_id are all accepted."""
    (person,) = parse_people(json.dumps(frame))
    assert person.pose.seen[skeleton.BODY].all()
    assert not person.pose.seen[skeleton.FACE.start :].any()
    assert person.person_id == (4 if "canvas_width" in frame else None)


def test_three_nulls_are_an_unseen_joint():
    """A joint whose three numbers are null is unseen."""
    numbers = entry()["pose_keypoints_2d"]
    numbers[3:6] = [None] * 3
    pose = parsed_pose(text({"pose_keypoints_2d": numbers}))
    assert np.flatnonzero(~pose.seen[skeleton.BODY]).tolist() == [1]


def test_a_face_of_68_points_has_no_pupils():
    """iBUG's 68 points alone leave the pupils unseen."""
    pose = parsed_pose(text(entry(face_keypoints_2d=[9, 9, 1] * 68)))
    assert np.flatnonzero(~pose.seen[skeleton.FACE]).tolist() == [68, 69]


def test_zeros_are_an_unseen_joint():
    """0, 0, 0 is unseen, not a joint in the corner; a confidence slightly above 1 is clipped to 1."""
    numbers = entry()["pose_keypoints_2d"]
    numbers[0:3], numbers[5] = [0, 0, 0], 1.04
    pose = parsed_pose(text({"pose_keypoints_2d": numbers}))
    assert not pose.seen[0]
    assert pose.confidence[1] == 1


def changed(index: int, value) -> dict:
    person = entry()
    person["pose_keypoints_2d"][index] = value
    return person


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ('{"version":1.3,"people":[', "is not JSON"),
        ("[" * 100_000, "is nested more than 64 levels deep"),
        ("[]", "expected an object, got a list"),
        (text(version=9), "version: expected one of 1.1, 1.2, 1.3, got 9"),
        (text(version="ap10k"), "version: expected one of 1.1, 1.2, 1.3, got 'ap10k'"),
        (text(version=True), "version: expected"),
        ('{"instance_info":[],"meta_info":1}', "expected a list, got nothing; the object has instance_info, meta_info"),
        ('{"version":1.3}', "people: expected a list, got nothing"),
        (text(7), "people[0]: expected an object, got 7"),
        (text(entry(), entry(15)), "(18 parts) or 78 (26 parts) numbers, got 45"),
        (text({"pose_keypoints_2d": "many"}), "people[0].pose_keypoints_2d: expected a list of numbers, got 'many'"),
        (text(entry(face_keypoints_2d=[1] * 209)), "(70 parts) or 204 (68 parts) numbers, got 209"),
        (text(entry(hand_right_keypoints_2d=[1] * 3)), "hand_right_keypoints_2d: expected 63 (21 parts)"),
        (text(changed(4, None)), "people[0].pose_keypoints_2d[4]: expected a number, got nothing"),
        (text(changed(4, float("nan"))), "people[0].pose_keypoints_2d[4]: expected a number, got nan"),
        (text(changed(4, 10**400)), "people[0].pose_keypoints_2d[4]: expected a number, got 1000"),
        (text(changed(4, True)), "people[0].pose_keypoints_2d[4]: expected a number, got True"),
        (text(changed(4, 3e7)), "at most 1e+06 are accepted"),
        (text(changed(5, -0.1)), "expected confidences in [0, 1], got -0.1"),
        (text(changed(5, 75)), "expected confidences in [0, 1], got 75"),
        (text(entry(person_id="one")), "people[0].person_id: expected a list of one whole number"),
    ],
)  # fmt: skip
def test_invalid_files_are_rejected(content, message):
    """The only error is BadKeypoints, one line with the file, the field and what was expected."""
    with pytest.raises(BadKeypoints) as caught:
        parse_people(content, "clip_000000000007_keypoints.json")
    assert str(caught.value).startswith("clip_000000000007_keypoints.json: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
