"""OpenPose's JSON: what it holds comes in, what we write comes back, and what is wrong is named."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from motion import skeleton
from motion.frame import FrameSize
from motion.openpose_json import (
    BadKeypoints,
    KeypointsPerson,
    KeypointsWriter,
    SourceFacts,
    file_name,
    parse_people,
    parse_poses,
    people_text,
    read_folder,
)
from motion.pose import Pose


def somebody(seed: int = 0) -> Pose:
    """All 137 joints anywhere in a frame of 1000 pixels, some of them unseen."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0, 1, skeleton.JOINT_COUNT).astype(np.float32)
    confidence[rng.uniform(size=skeleton.JOINT_COUNT) < 0.2] = 0
    return Pose(rng.uniform(0, 1000, (skeleton.JOINT_COUNT, 2)).astype(np.float32), confidence)


def same(one: Pose, other: Pose) -> bool:
    return bool((one.joints_px == other.joints_px).all() and (one.confidence == other.confidence).all())


def entry(parts: int = 25, **more) -> dict:
    """A person as OpenPose 1.2 writes one: every joint at (10 i, 20 i)."""
    return {"pose_keypoints_2d": [number for i in range(parts) for number in (10 * i, 20 * i, 0.9)], **more}


def text(*people, version=1.3, **more) -> str:
    return json.dumps({"version": version, "people": list(people), **more})


@pytest.mark.parametrize("scale", [(1.0, 1.0), (1080 / 720, 1919 / 1279), (3.0, 1 / 3)])
def test_what_is_written_comes_back_bit_by_bit(scale):
    """Positions, confidences and numbers of people are the same after writing and reading, also where frames shrank."""
    written = people_text([KeypointsPerson(somebody(1), 4), KeypointsPerson(somebody(2))], scale)
    one, two = parse_people(written, "f", (1 / scale[0], 1 / scale[1]))
    assert (one.person_id, two.person_id) == (4, None)
    assert same(one.pose, somebody(1))
    assert same(two.pose, somebody(2))


def test_the_written_layout_is_openpose_s():
    """Version 1.3 with every key that OpenPose writes, and their numbers: 75, 210, 63, 63."""
    document = json.loads(people_text([KeypointsPerson(somebody())]))
    assert document["version"] == 1.3
    (person,) = document["people"]
    assert person["person_id"] == [-1]
    lengths = [len(person[f"{name}_keypoints_2d"]) for name in ("pose", "face", "hand_left", "hand_right")]
    assert lengths == [75, 210, 63, 63]
    assert all(person[f"{name}_keypoints_3d"] == [] for name in ("pose", "face", "hand_left", "hand_right"))


@pytest.mark.parametrize("version", [1.1, 1.2, 1.3])
def test_bodies_without_face_and_hands_are_read(version):
    """Empty lists and missing keys mean that nobody looked there; several people keep their order."""
    one, two = parse_people(text(entry(), entry(face_keypoints_2d=[], hand_left_keypoints_2d=[]), version=version))
    for person in (one, two):
        assert person.pose.seen[skeleton.BODY].all()
        assert not person.pose.seen[skeleton.FACE.start :].any()
        assert person.pose.joints_px[skeleton.L_ANKLE].tolist() == [140, 280]


def test_the_older_names_are_read():
    """Before 1.2 the keys had no "_2d"."""
    (pose,) = parse_poses(text({"pose_keypoints": entry()["pose_keypoints_2d"]}, version=1.1))
    assert pose.joints_px[skeleton.NECK].tolist() == [10, 20]


def test_coco_bodies_become_body_25():
    """18 parts: the same joints under their names, mid-hip between the hips, no feet."""
    (pose,) = parse_poses(text(entry(18)))
    assert pose.joints_px[skeleton.R_HIP].tolist() == [80, 160]
    assert pose.joints_px[skeleton.L_HIP].tolist() == [110, 220]
    assert pose.joints_px[skeleton.MID_HIP].tolist() == [95, 190]
    assert not pose.seen[19:25].any()


def test_what_was_not_found_is_unseen():
    """0, 0, 0 is no joint in the corner; a confidence a little above 1 is 1."""
    numbers = entry()["pose_keypoints_2d"]
    numbers[0:3], numbers[5] = [0, 0, 0], 1.04
    (pose,) = parse_poses(text({"pose_keypoints_2d": numbers}))
    assert not pose.seen[0]
    assert pose.confidence[1] == 1


def changed(index: int, value) -> dict:
    person = entry()
    person["pose_keypoints_2d"][index] = value
    return person


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is no JSON"),
        ('{"version":1.3,"people":[', "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "expected an object, got list"),
        ('{"people":[]}', "version: expected one of 1.1, 1.2, 1.3, got nothing"),
        (text(version="1.3"), "version: expected"),
        ('{"version":1.3}', "people: expected a list, got nothing"),
        (text(7), "people[0]: expected an object, got int"),
        (text(entry(), entry(15)), "[1].pose_keypoints_2d: expected 75 (25 parts) or 54 (18 parts) numbers, got 45"),
        (text({"pose_keypoints_2d": "many"}), "people[0].pose_keypoints_2d: expected a list of numbers, got str"),
        (text(entry(face_keypoints_2d=[1] * 209)), "face_keypoints_2d: expected 210 (70 parts) numbers, got 209"),
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
def test_what_is_wrong_is_named(content, told):
    """One line with the file, the field and what was expected; never another error."""
    with pytest.raises(BadKeypoints) as caught:
        parse_people(content, "clip_000000000007_keypoints.json")
    assert str(caught.value).startswith("clip_000000000007_keypoints.json: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def folder_of(tmp_path, **texts):
    for name, content in texts.items():
        (tmp_path / f"{name}_keypoints.json").write_text(content)
    return tmp_path


def test_a_folder_s_frames_are_ordered_by_number_and_gaps_are_frames(tmp_path):
    """Files are sorted by their number, not by name; a missing one is a frame of which nothing is known."""
    read = read_folder(folder_of(tmp_path, a_9=text(entry()), a_10=text(), a_12=text(entry(), entry())))
    assert [(frame.index, len(frame.people), frame.missing) for frame in read.frames] == [
        (0, 1, False), (1, 0, False), (2, 0, True), (3, 2, False),
    ]  # fmt: skip
    assert read.missing_frames == 1
    assert not read.ids_known


def test_names_without_numbers_are_ordered_by_name(tmp_path):
    """Folders of pictures may be called anything."""
    read = read_folder(folder_of(tmp_path, start=text(), end=text(entry())))
    assert [len(frame.people) for frame in read.frames] == [1, 0]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({}, "there is no file *_keypoints.json in it"),
        ({"a_1": text(entry()), "b_1": text()}, "both a_1_keypoints.json and b_1_keypoints.json are frame 1"),
        (
            {"a_1": text(entry()), "a_2": text(entry(18))},
            "must have the same parts, got 18 parts in a_2_keypoints.json and 25 parts in a_1_keypoints.json",
        ),
        ({"a_1": text(entry()), "a_2": "{"}, "a_2_keypoints.json: is no JSON"),
        ({"a_1": text({"pose_keypoints_2d": [0.5, 0.5, 0.9] * 25})}, "--keypoint_scale 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_folder_is_named(tmp_path, texts, told):
    """Empty folders, two videos in one, bodies of two kinds, one damaged file, fractions in place of pixels."""
    with pytest.raises(BadKeypoints) as caught:
        read_folder(folder_of(tmp_path, **texts))
    assert told in str(caught.value)


def test_a_written_folder_knows_its_source(tmp_path):
    """Size, rate and times come back, and a frame missing at the end is a frame."""
    facts = SourceFacts(FrameSize(1920, 1080), Fraction(30000, 1001), Fraction(1, 90_000))
    writer = KeypointsWriter(tmp_path / "out", "clip", facts, (1.5, 1.5))
    for number in range(3):
        writer.write([KeypointsPerson(somebody(number), 1)], 3003 * number)
    writer.close()
    (tmp_path / "out" / file_name("clip", 2)).unlink()
    read = read_folder(tmp_path / "out", shrink_to_px=1280)
    assert read.facts == SourceFacts(facts.size, facts.frame_rate, facts.time_base, (0, 3003, 6006))
    assert [frame.missing for frame in read.frames] == [False, False, True]
    assert read.ids_known
    assert same(read.frames[1].people[0].pose, somebody(1))
    assert read.facts.pts_of(4) == 6006 + 2 * 3003
    with pytest.raises(BadKeypoints, match="is not empty"):
        KeypointsWriter(tmp_path / "out", "clip", facts)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "{}",
        '{"width_px":0,"height_px":1,"frame_rate":"1","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":"0","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1/0","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1","pts":[2,1]}',
        '{"width_px":1e400,"height_px":9,"frame_rate":"1","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":NaN,"frame_rate":"1","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9.5,"frame_rate":"1","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":1e400,"time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1e999999999","time_base":"1","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1/1e999999999","pts":[]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1","pts":[0,1e400]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1","pts":[0.5]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1","pts":[9223372036854775808]}',
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1","pts":' + "[" * 100_000,
        '{"width_px":9,"height_px":9,"frame_rate":"1","time_base":"1","pts":5}',
        "[]",
    ],
)
def test_a_damaged_source_file_is_named(tmp_path, content):
    """The facts about the source are checked as well."""
    folder_of(tmp_path, a_1=text(entry()))
    (tmp_path / "dance_source.json").write_text(content)
    with pytest.raises(BadKeypoints, match=r"dance_source\.json"):
        read_folder(tmp_path)
