"""Poses from OpenPose's folders for training."""

from __future__ import annotations

import json

import pytest

from serving.errors import BadInput
from training.preparation.imported_poses import ImportedPoses


def folder_of(tmp_path, numbers):
    """Each frame's person stands at a place given by the frame's number."""
    for number in numbers:
        person = {"pose_keypoints_2d": [value for k in range(25) for value in (100 + number, 50 + 4 * k, 0.9)]}
        (tmp_path / f"a_{number}_keypoints.json").write_text(json.dumps({"people": [person]}))
    return tmp_path


def places(poses: ImportedPoses, frames: int) -> list[int | None]:
    found = [poses.of(frame)[0] for frame in range(frames)]
    return [None if pose is None else round(float(pose.joints_px[0, 0])) - 100 for pose in found]


def test_poses_are_those_of_the_frames_by_number(tmp_path):
    """Poses are matched by number, so a missing file shifts no later pose; hidden files are ignored."""
    folder = folder_of(tmp_path, (0, 1, 2, 4, 9, 10, 11))
    (folder / "._a_3_keypoints.json").write_bytes(b"\0")
    expected = [0, 1, 2, None, 4, None, None, None, None, 9, 10, 11]
    assert places(ImportedPoses(folder), 12) == expected


@pytest.mark.parametrize(
    ("numbers", "frames", "expected"),
    [
        (range(1, 11), 10, list(range(1, 11))),
        (range(1000, 1010), 10, list(range(1000, 1010))),
        (range(1, 10), 10, [None, *range(1, 10)]),
    ],
)
def test_numbers_may_begin_anywhere(tmp_path, numbers, frames, expected):
    """Numbers may start at 1 or belong to a longer video; if they end with the footage, its beginning is missing."""
    assert places(ImportedPoses(folder_of(tmp_path, numbers), frames=frames), frames) == expected


def list_of(tmp_path, numbers, name="{}.jpg"):
    """A list like AlphaPose's, which names only frames with a person."""
    path = tmp_path / "alphapose-results.json"
    entries = [{"image_id": name.format(n), "keypoints": [v for k in range(26) for v in (100 + n, 50 + 4 * k, 0.9)]}
               for n in numbers]  # fmt: skip
    path.write_text(json.dumps(entries))
    return path


@pytest.mark.parametrize(("frames", "numbers"), [(100, range(10, 91)), (100, range(60, 70)), (None, range(10, 91))])
def test_people_who_come_late_or_leave_early_keep_their_frames(tmp_path, frames, numbers):
    """A list has no entries for frames without a person."""
    expected = [n if n in numbers else None for n in range(100)]
    assert places(ImportedPoses(list_of(tmp_path, numbers), frames=frames), 100) == expected


@pytest.mark.parametrize(
    ("numbers", "first"), [(range(1, 99), 0), (range(1, 101), 1), (range(3, 101), 1), (range(7, 107), 7)]
)
def test_missing_files_at_both_ends_shift_nothing(tmp_path, numbers, first):
    """Numbers are the footage's frames if they fit; otherwise they count from 1 or belong to a longer video."""
    expected = [n if n in numbers else None for n in range(first, first + 100)]
    assert places(ImportedPoses(folder_of(tmp_path, numbers), frames=100), 100) == expected


@pytest.mark.parametrize(("begin", "frames"), [(0, 25), (1, 25)])
def test_every_third_frame_may_be_counted_from_1(tmp_path, begin, frames):
    """With every third frame, the numbers 1, 4, 7 are the frames 0, 3, 6."""
    numbers = range(begin, 75, 3)
    assert places(ImportedPoses(folder_of(tmp_path, numbers), every=3, frames=frames), 25) == list(numbers)


def test_fractions_of_the_frame_are_refused(tmp_path):
    """Fractions are refused in the poses of a single frame, as they are in a whole folder."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"image_id": "0.jpg", "keypoints": [0.5, 0.5, 0.9] * 26}]))
    with pytest.raises(BadInput, match=r"a\.json: image_id '0\.jpg': all joints lie within 0\.5 px of the corner"):
        ImportedPoses(path, frames=1).of(0)


def test_poses_of_every_third_frame_need_thinned_footage(tmp_path):
    """Thinned poses for all frames of the footage are refused, and the message has the way out."""
    folder = folder_of(tmp_path, range(0, 75, 3))
    with pytest.raises(
        BadInput, match="poses of 25 frames, the footage has 73; one for every 3 frames: use --frame-rate"
    ):
        ImportedPoses(folder, frames=73)
    assert places(ImportedPoses(folder, every=3, frames=25), 25) == list(range(0, 75, 3))


@pytest.mark.parametrize(("numbers", "told"), [(range(10), "poses of 10 frames, the footage has 50"), (
    range(90), "poses of 90 frames, the footage has 50"), ((), "contains no ")])  # fmt: skip
def test_poses_of_other_footage_are_refused(tmp_path, numbers, told):
    """Too few poses, too many, and none are refused."""
    with pytest.raises(BadInput, match=told):
        ImportedPoses(folder_of(tmp_path, numbers), frames=50)
