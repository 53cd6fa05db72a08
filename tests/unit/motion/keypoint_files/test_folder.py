"""Folders and lists of keypoints: which file is which frame, at what rate, and what is skipped or rejected."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest

from motion.frame import FrameSize
from motion.keypoint_files.folder import known_frames, read_folder
from motion.keypoint_files.openpose_json import BadKeypoints, KeypointsPerson, KeypointsWriter, SourceFacts, file_name
from tests.unit.motion.keypoint_files.test_openpose_json import entry, random_pose, same, text


def folder_of(tmp_path, **texts):
    for name, content in texts.items():
        (tmp_path / f"{name}_keypoints.json").write_text(content)
    return tmp_path


def test_files_are_ordered_by_number_and_gaps_are_frames(tmp_path):
    """Files are sorted by number, not by name, and a missing file is a frame with unknown content."""
    read = read_folder(folder_of(tmp_path, a_9=text(entry()), a_10=text(), a_12=text(entry(), entry())))
    assert [(frame.index, len(frame.people), frame.missing) for frame in read.frames] == [
        (0, 1, False), (1, 0, False), (2, 0, True), (3, 2, False),
    ]  # fmt: skip
    assert read.missing_frames == 1
    assert not read.ids_known


def test_names_without_numbers_are_ordered_by_name(tmp_path):
    """Files without numbers are read in the order of their names."""
    read = read_folder(folder_of(tmp_path, start=text(), end=text(entry())))
    assert [len(frame.people) for frame in read.frames] == [1, 0]


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, "contains no *_keypoints.json file"),
        ({"a_1": text(entry()), "summary": text()}, "summary_keypoints.json has no number, but 1 other files do"),
        (
            {"a_1": text(entry()), "b_1": text()},
            "both a_1_keypoints.json and b_1_keypoints.json are frame 1; expected one video, and the frame's number",
        ),
        (
            {"a_1": text(entry()), "a_2": text(entry(18))},
            "must have the same parts, got 18 parts in a_2_keypoints.json and 25 parts in a_1_keypoints.json",
        ),
        ({"a_1": text(entry()), "a_2": "{"}, "a_2_keypoints.json: is not JSON"),
        ({"a_1": text({"pose_keypoints_2d": [0.5, 0.5, 0.9] * 25})}, "--keypoint_scale 0"),
    ],
)  # fmt: skip
def test_invalid_folders_are_rejected(tmp_path, texts, message):
    """The error names the problem: no files, two videos, mixed bodies, a damaged file, fractions instead of pixels."""
    with pytest.raises(BadKeypoints) as caught:
        read_folder(folder_of(tmp_path, **texts))
    assert message in str(caught.value)


def test_a_written_folder_stores_the_facts_about_its_source(tmp_path):
    """Size, rate and times are restored, so even a frame missing at the end still counts."""
    facts = SourceFacts(FrameSize(1920, 1080), Fraction(30000, 1001), Fraction(1, 90_000))
    writer = KeypointsWriter(tmp_path / "out", "clip", facts, (1.5, 1.5))
    for number in range(3):
        writer.write([KeypointsPerson(random_pose(number), 1)], 3003 * number)
    writer.close()
    (tmp_path / "out" / file_name("clip", 2)).unlink()
    read = read_folder(tmp_path / "out", shrink_to_px=1280)
    assert read.facts == SourceFacts(facts.size, facts.frame_rate, facts.time_base, (0, 3003, 6006))
    assert [frame.missing for frame in read.frames] == [False, False, True]
    assert read.ids_known
    assert same(read.frames[1].people[0].pose, random_pose(1))
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
def test_a_damaged_source_file_is_rejected(tmp_path, content):
    """The error names `dance_source.json`."""
    folder_of(tmp_path, a_1=text(entry()))
    (tmp_path / "dance_source.json").write_text(content)
    with pytest.raises(BadKeypoints, match=r"dance_source\.json"):
        read_folder(tmp_path)


FACTS = SourceFacts(FrameSize(640, 480), Fraction(30), Fraction(1, 90_000))


def numbered(tmp_path, numbers):
    """Write frames with these numbers; each person's x is 100 plus the frame's number."""
    for number in numbers:
        person = {"pose_keypoints_2d": [100 + number, 200, 0.9] * 25}
        (tmp_path / f"clip_{number:012d}_keypoints.json").write_text(text(person))
    return tmp_path


def places(read):
    """Return the number encoded in each frame's person; None for a frame without a file."""
    return [None if frame.missing else frame.people[0].pose.joints_px[0, 0] - 100 for frame in read.frames]


@pytest.mark.parametrize(
    ("numbers", "step", "places_there"),
    [
        (range(0, 75, 3), 3, list(range(0, 75, 3))),
        (range(1, 30, 2), 2, list(range(1, 30, 2))),
        (range(0, 3000, 100), 100, list(range(0, 3000, 100))),
        ((0, 3, 9, 12), 3, [0, 3, None, 9, 12]),
        ((5, 6, 8), 1, [5, 6, None, 8]),
        ((4, 7), 1, [4, None, None, 7]),
    ],
)
def test_numbers_with_a_step_are_a_clip_at_a_lower_rate(tmp_path, numbers, step, places_there):
    """25 poses of every third frame are 25 frames at a third of the rate; other missing numbers are frames."""
    read = read_folder(numbered(tmp_path, numbers), facts=FACTS)
    assert read.step == step
    assert read.facts is not None
    assert places(read) == places_there
    assert read.facts.frame_rate == Fraction(30, step)
    assert read.facts.pts_of(2) == 6000 * step


def test_a_thinned_out_folder_keeps_its_times(tmp_path):
    """After files were removed from a folder we wrote, each pose still has its own time."""
    written = SourceFacts(FACTS.size, FACTS.frame_rate, Fraction(1, 1000), (0, 33, 67, 100, 133, 167))
    read = read_folder(numbered(tmp_path, (1, 3, 5)), facts=written)
    assert read.facts is not None
    assert [read.facts.pts_of(frame.index) for frame in read.frames] == [33, 100, 167]


def test_uneven_distant_numbers_do_not_count_frames(tmp_path):
    """If the numbers are, for example, milliseconds, the files are consecutive frames and `counted` is set."""
    read = read_folder(numbered(tmp_path, (0, 33, 67, 100, 133, 167)), facts=FACTS)
    assert places(read) == [0, 33, 67, 100, 133, 167]
    assert read.counted
    assert read.facts is not None
    assert read.facts.frame_rate == 30


@pytest.mark.parametrize(
    "name",
    ["._clip_000000000001_keypoints.json", ".DS_Store", "Thumbs.db", "desktop.ini", "clip_000000000001_keypoints.json~",
     "~$clip_000000000001_keypoints.json", "#clip_000000000001_keypoints.json#", "._.DS_Store",
     ".clip_000000000001_keypoints.json.swp", ".~lock.clip_000000000001_keypoints.json"],
)  # fmt: skip
def test_files_of_systems_and_editors_are_skipped(tmp_path, name):
    """Sidecar, backup and lock files are skipped, even if they are named like keypoint files."""
    numbered(tmp_path, (0, 1, 2))
    (tmp_path / name).write_bytes(b"\0\5\x16\7")
    assert places(read_folder(tmp_path, facts=FACTS)) == [0, 1, 2]


def listed(tmp_path, entries):
    path = tmp_path / "alphapose-results.json"
    path.write_text(json.dumps(entries))
    return path


def test_a_list_of_detections_is_read(tmp_path):
    """Entries of one image, in AlphaPose's format, form one frame; an image without entries has no people."""
    one, other = ({"keypoints": [x, 50, 0.9] * 26, "score": 2.5, "category_id": 1} for x in (10, 90))
    entries = [{"image_id": "10.jpg", **other}, {"image_id": "8.jpg", **one}, {"image_id": "8.jpg", **other},
               {"image_id": "11.jpg", **one}]  # fmt: skip
    read = read_folder(listed(tmp_path, entries), facts=FACTS)
    stand = [[person.pose.joints_px[0, 0] for person in frame.people] for frame in read.frames]
    assert stand == [[10, 90], [], [90], [10]]
    assert read.missing_frames == 0


@pytest.mark.parametrize(
    "name", ["frame_{}.mp4.jpg", "{}.JP2", "clip.{:04d}", "a.M2TS-{:03d}.3gp.png", "x_{}.h264.webp"]
)
def test_a_digit_in_a_suffix_is_not_a_frame_number(tmp_path, name):
    """The frame's number is the last number before the suffixes."""
    entries = [{"image_id": name.format(n), "keypoints": [100 + n, 50, 0.9] * 26} for n in (3, 4, 7)]
    known = known_frames(listed(tmp_path, entries))
    assert known.numbers == [3, 4, 7]
    assert [known.frames[2].people((1.0, 1.0))[0].pose.joints_px[0, 0]] == [107]


def test_a_digit_in_a_video_suffix_is_not_a_frame_number(tmp_path):
    """The 4 of mp4 in a file's name is not the frame's number."""
    folder = folder_of(tmp_path, **{"frame_0.mp4": text(), "frame_1.mp4": text()})
    assert known_frames(folder).numbers == [0, 1]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([f"{n:04d}_1080p.jpg" for n in range(30)], "'0000_1080p.jpg' and image_id '0001_1080p.jpg' are frame 1080"),
        (["a/7.jpg", "b/7.jpg"], "both image_id 'a/7.jpg' and image_id 'b/7.jpg' are frame 7; expected one video"),
        ([7, "7.jpg"], "both image_id 7 and image_id '7.jpg' are frame 7"),
    ],
)
def test_two_pictures_with_one_number_are_rejected(tmp_path, images, message):
    """Two pictures must not be merged into one frame; the error names both."""
    entries = [{"image_id": image, "keypoints": [10, 50, 0.9] * 26} for image in images for _ in range(2)]
    with pytest.raises(BadKeypoints) as caught:
        known_frames(listed(tmp_path, entries))
    assert message in str(caught.value)


def test_a_list_of_frames_is_read(tmp_path):
    """A list of frames in OpenPose's format is read in order."""
    entries = [{"people": [entry()], "canvas_width": 9}, {"people": []}, {"people": [entry(), entry()]}]
    read = read_folder(listed(tmp_path, entries), facts=FACTS)
    assert [len(frame.people) for frame in read.frames] == [1, 0, 2]


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "expected a list of AlphaPose detections or OpenPose frames, got an empty list"),
        ({"annotations": []}, "got an object"),
        ({"people": []}, "got one frame: pass its folder instead"),
        ([[1, 2]], "[0]: expected an object with image_id and keypoints, got a list"),
        ([{"bbox": [1]}], "[0]: expected an object with image_id and keypoints, got bbox"),
        ([{"image_id": "a.jpg", "keypoints": []}], "[0].image_id: expected a frame number or a name with one"),
        ([{"image_id": 1, "keypoints": [1] * 408}], "[0].pose_keypoints_2d: expected 75 (25 parts)"),
        ([{"people": []}, {"people": [entry(15)]}], "[1]: people[0].pose_keypoints_2d: expected 75"),
    ],
)
def test_invalid_lists_are_rejected(tmp_path, entries, message):
    """The error names the file, the entry, what was found and what was expected."""
    with pytest.raises(BadKeypoints) as caught:
        read_folder(listed(tmp_path, entries), facts=FACTS)
    assert "alphapose-results.json: " in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_folder_is_rejected(tmp_path):
    """A path that is neither a folder nor a list raises BadKeypoints."""
    with pytest.raises(BadKeypoints, match=r"is neither a folder nor a \.json list"):
        known_frames(tmp_path / "none")
