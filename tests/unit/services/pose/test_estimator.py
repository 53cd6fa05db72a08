"""The estimator finds people where they are, and nobody where nobody is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from motion import skeleton
from motion.frame import Picture
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, PoseEstimator, PoseRules
from services.pose.mediapipe.stderr_filter import startup_chatter_dropped

real_clips = pytest.mark.real_clips


def pictures(clip: Path, first: int = 0, count: int | None = None) -> Iterator[Picture]:
    """Frames `first` to `first + count` of a clip, `[H, W, 3]` uint8 RGB."""
    with av.open(str(clip)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if count is not None and index >= first + count:
                return
            if index >= first:
                yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def found_in(estimates: list[Estimate]) -> float:
    """The share of frames with a pose."""
    return float(np.mean([bool(estimate.people) for estimate in estimates]))


def test_nobody_is_an_answer():
    """A blank picture is answered without people, without a mask and without an error."""
    with PoseEstimator(PoseDetail.BODY, with_mask=True) as estimator:
        estimate = estimator.estimate(np.zeros((48, 64, 3), np.uint8))
    assert estimate.people == []
    assert estimate.dancer_index == -1
    assert estimate.dancer is None
    assert estimate.mask is None
    assert estimate.compute_seconds > 0


def test_closing_twice_is_harmless():
    """A context manager around an estimator that was closed already does nothing."""
    with PoseEstimator(PoseDetail.BODY) as estimator:
        estimator.close()


@pytest.mark.parametrize(
    "nonsense",
    [{"min_detection_confidence": 1.1}, {"min_height_fraction": -0.1}, {"face_and_hands_every_n": 0}],
)
def test_nonsense_rules_are_refused_by_name(nonsense):
    """The message names the rule."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        PoseRules(**nonsense)


def test_only_known_chatter_is_dropped(capfd):
    """Lines that nobody needs disappear; everything else on standard error comes through."""
    with startup_chatter_dropped():
        os.write(2, b"W0000 inference_feedback_manager.cc:114] ... Disabling support for feedback tensors.\n")
        os.write(2, b"E0000 something is wrong\n")
    assert capfd.readouterr().err == "E0000 something is wrong\n"


def test_the_last_words_of_a_crash_are_not_lost(root):
    """C++ may end the process while its lines are being sieved: they are on standard error nevertheless."""
    program = (
        "import os\n"
        "from services.pose.mediapipe.stderr_filter import startup_chatter_dropped\n"
        "with startup_chatter_dropped():\n"
        "    os.write(2, b'I0000 gl_context.cc:369 chatter\\nF0000 the model is damaged\\n')\n"
        "    os.abort()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, timeout=20)
    assert ended.returncode == -signal.SIGABRT
    assert ended.stderr == "F0000 the model is damaged\n"


def test_chatter_is_dropped_when_the_start_fails(capfd):
    """Standard error is whole again after an error."""
    with pytest.raises(RuntimeError, match="no model"), startup_chatter_dropped():
        raise RuntimeError("no model")
    os.write(2, b"still here\n")
    assert capfd.readouterr().err == "still here\n"


@real_clips
def test_a_juggler_is_found_with_face_hands_and_mask(clips):
    """Holistic detail finds body, face and hands in the picture, and the mask covers the person."""
    with PoseEstimator(with_mask=True) as estimator:
        estimates = [estimator.estimate(picture) for picture in pictures(clips / "target_juggle.mp4", count=6)]
    assert found_in(estimates) == 1
    last = estimates[-1].dancer
    assert last is not None
    assert last.seen[[skeleton.NOSE, skeleton.NECK, skeleton.MID_HIP, skeleton.L_ANKLE, skeleton.R_ANKLE]].all()
    assert last.seen[skeleton.FACE].all()
    mask = estimates[-1].mask
    assert mask is not None
    assert mask.shape == (720, 1280)
    assert mask.dtype == np.float32
    hip_x_px, hip_y_px = last.joints_px[skeleton.MID_HIP].astype(int)
    assert mask[hip_y_px, hip_x_px] > 0.9
    assert mask[5, 5] < 0.1


@real_clips
def test_live_looks_at_face_and_hands_in_every_nth_frame(clips):
    """Detail live says which faces and hands were carried along; the body is the same as with detail body."""
    shown = list(pictures(clips / "target_juggle.mp4", count=5))
    rules = PoseRules(face_and_hands_every_n=3)
    with PoseEstimator(PoseDetail.LIVE, rules=rules) as live, PoseEstimator(PoseDetail.BODY) as body:
        estimates = [live.estimate(picture) for picture in shown]
        bodies = [body.estimate(picture) for picture in shown]
    assert [estimate.face_and_hands_carried for estimate in estimates] == [False, True, True, False, True]
    for estimate, plain in zip(estimates, bodies, strict=True):
        assert estimate.dancer is not None
        assert plain.dancer is not None
        np.testing.assert_array_equal(estimate.dancer.joints_px[skeleton.BODY], plain.dancer.joints_px[skeleton.BODY])
    assert estimates[1].dancer is not None
    assert estimates[1].dancer.seen[skeleton.FACE].all()


@real_clips
def test_small_people_are_not_reported(clips):
    """Somebody smaller than the smallest height that is asked for does not count."""
    picture = next(pictures(clips / "target_juggle.mp4"))
    for fraction, people in ((0.25, 1), (1.0, 0)):
        with PoseEstimator(PoseDetail.BODY, rules=PoseRules(min_height_fraction=fraction)) as estimator:
            assert len(estimator.estimate(picture).people) == people


@real_clips
def test_a_mirrored_picture_gives_the_mirrored_pose(clips):
    """Left and right are not confused: flipping the picture flips the pose."""
    picture = next(pictures(clips / "target_juggle.mp4"))
    poses = []
    for shown in (picture, np.ascontiguousarray(picture[:, ::-1])):
        with PoseEstimator(PoseDetail.BODY) as estimator:
            dancer = estimator.estimate(shown).dancer
        assert dancer is not None
        poses.append(dancer)
    straight, mirrored = poses[0], poses[1].flipped(1280)
    shoulders = [skeleton.L_SHOULDER, skeleton.R_SHOULDER, skeleton.L_HIP, skeleton.R_HIP]
    distance_px = np.linalg.norm(straight.joints_px[shoulders] - mirrored.joints_px[shoulders], axis=1)
    assert distance_px.max() < 0.03 * 720


@real_clips
@pytest.mark.parametrize(("clip", "first"), [("target_juggle", 0), ("source_squats", 0), ("source_balance", 0)])
def test_people_are_found_in_the_first_frames(clips, clip, first):
    """Every one of the first frames of a clip of one person has a pose."""
    with PoseEstimator(PoseDetail.BODY) as estimator:
        assert found_in([estimator.estimate(p) for p in pictures(clips / f"{clip}.mp4", first, 12)]) == 1


@real_clips
@pytest.mark.parametrize("clip", ["hard_no_person", "hard_one_by_one"])
def test_nobody_is_found_in_the_first_frames(clips, clip):
    """Cars are nobody, and neither is a table."""
    with PoseEstimator(PoseDetail.BODY) as estimator:
        assert found_in([estimator.estimate(p) for p in pictures(clips / f"{clip}.mp4", 0, 30)]) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@real_clips
@pytest.mark.parametrize("clip", ["target_juggle", "source_squats", "source_balance"])
def test_people_are_found_in_whole_clips(clips, clip, record_property):
    """A pose in at least 99 % of the frames."""
    with PoseEstimator() as estimator:
        share = found_in([estimator.estimate(picture) for picture in pictures(clips / f"{clip}.mp4")])
    record_property("share_of_frames_with_a_pose", share)
    assert share >= 0.99


@pytest.mark.slow
@pytest.mark.timeout(600)
@real_clips
def test_no_car_is_ever_a_person(clips):
    """No pose in any frame without people."""
    with PoseEstimator() as estimator:
        assert found_in([estimator.estimate(picture) for picture in pictures(clips / "hard_no_person.mp4")]) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@real_clips
def test_the_empty_room_stays_empty(clips, root):
    """At most 2 % of the frames in which nobody is visible get a pose, and at least 90 % of the others do."""
    listed = json.loads((root / "tests/golden/one_by_one_empty_frames.json").read_text())
    empty = np.zeros(listed["frames"], bool)
    for first, last in listed["empty"]:
        empty[first : last + 1] = True
    with PoseEstimator() as estimator:
        found = np.array([bool(estimator.estimate(p).people) for p in pictures(clips / "hard_one_by_one.mp4")])
    assert len(found) == listed["frames"]
    assert found[empty].mean() <= 0.02
    assert found[~empty].mean() >= 0.9
