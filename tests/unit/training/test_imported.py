"""OpenPose's folders as a source of poses for training."""

from training.data.imported import keypoint_files


def test_files_are_in_the_order_of_their_numbers(tmp_path):
    """Not of their letters; other files are passed by."""
    for name in ("a_000000000010_keypoints.json", "b_2_keypoints.json", "a_000000000009_keypoints.json", "x.json"):
        (tmp_path / name).write_text("{}")
    assert [path.name[:3] for path in keypoint_files(tmp_path)] == ["b_2", "a_0", "a_0"]
    assert keypoint_files(tmp_path)[1].name == "a_000000000009_keypoints.json"
