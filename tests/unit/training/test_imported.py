"""OpenPose's folders as a source of poses for training."""

from __future__ import annotations

import json

import pytest

from serving.errors import BadInput
from training.data.imported import ImportedPoses


def folder_of(tmp_path, numbers):
    """Each frame's person stands at its number."""
    for number in numbers:
        person = {"pose_keypoints_2d": [value for k in range(25) for value in (100 + number, 50 + 4 * k, 0.9)]}
        (tmp_path / f"a_{number}_keypoints.json").write_text(json.dumps({"people": [person]}))
    return tmp_path


def places(poses: ImportedPoses, frames: int) -> list[int | None]:
    found = [poses.of(frame)[0] for frame in range(frames)]
    return [None if pose is None else round(float(pose.joints_px[0, 0])) - 100 for pose in found]


def test_poses_are_those_of_the_frames_by_number(tmp_path):
    """Not by order: behind a frame without a file each pose is still its own frame's; hidden files are none."""
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
    """From 1 on, or those of a longer video; where they end with the footage, what is missing is its beginning."""
    assert places(ImportedPoses(folder_of(tmp_path, numbers), frames=frames), frames) == expected


def test_every_third_frame_goes_with_footage_that_is_thinned_so(tmp_path):
    """With all frames of the footage it is refused, and what helps is said."""
    folder = folder_of(tmp_path, range(0, 75, 3))
    with pytest.raises(BadInput, match="poses of 25 frames, the footage has 73; one for every 3 frames: --frame-rate"):
        ImportedPoses(folder, frames=73)
    assert places(ImportedPoses(folder, every=3, frames=25), 25) == list(range(0, 75, 3))


@pytest.mark.parametrize(("numbers", "told"), [(range(10), "poses of 10 frames, the footage has 50"), (
    range(90), "poses of 90 frames, the footage has 50"), ((), "there is no file")])  # fmt: skip
def test_poses_of_other_footage_are_refused(tmp_path, numbers, told):
    """Too few, too many, none."""
    with pytest.raises(BadInput, match=told):
        ImportedPoses(folder_of(tmp_path, numbers), frames=50)
