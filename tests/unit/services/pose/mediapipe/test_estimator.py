"""The engine on MediaPipe's networks finds people, and nothing in pictures without people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from motion import skeleton
from motion.frame import Picture
from motion.pose_choice import PoseDetail
from services.pose.estimator import Estimate, PoseRules
from services.pose.mediapipe.estimator import PoseEstimator
from tests.mirrored_pose import flipped

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
    """Return the fraction of frames with a pose."""
    return float(np.mean([bool(estimate.people) for estimate in estimates]))


def test_a_picture_without_a_person_is_not_an_error():
    """A blank picture has no people and no mask, and causes no error."""
    with PoseEstimator(PoseDetail.BODY, with_mask=True) as estimator:
        estimate = estimator.estimate(np.zeros((48, 64, 3), np.uint8))
    assert estimate.people == []
    assert estimate.dancer_index == -1
    assert estimate.dancer is None
    assert estimate.mask is None
    assert estimate.compute_seconds > 0


def test_a_state_continues_exactly(root):
    """A new estimator for each picture, with the state of the last one, finds the same as one estimator for all."""
    for detail in (PoseDetail.HOLISTIC, PoseDetail.LIVE):
        state = b""
        with PoseEstimator(detail) as whole:
            for index, picture in enumerate(pictures(root / "samples/source_clip.mp4", count=5)):
                time_s = index * index / 25  # not evenly spaced: the filters depend on the time
                expected = whole.estimate(picture, time_s)
                with PoseEstimator(detail, state=state) as part:
                    found = part.estimate(picture, time_s)
                state = found.state_after
                assert state == expected.state_after
                assert 0 < len(state) < 4096
                assert found.face_and_hands_carried == expected.face_and_hands_carried
                assert found.dancer is not None
                assert expected.dancer is not None
                np.testing.assert_array_equal(found.dancer.joints_px, expected.dancer.joints_px)
                np.testing.assert_array_equal(found.dancer.confidence, expected.dancer.confidence)


def test_an_estimator_that_lost_the_person_has_no_state(root):
    """After an empty picture, a new estimator without a state would find the same."""
    picture = next(pictures(root / "samples/source_clip.mp4"))
    with PoseEstimator(PoseDetail.BODY) as estimator:
        assert estimator.estimate(picture).state_after
        estimator.estimate(np.zeros_like(picture))
        assert not estimator.estimate(np.zeros_like(picture)).state_after
        assert estimator.estimate(picture).people


def test_a_picture_of_another_size_begins_anew(root):
    """A person is found where they are when the size of the pictures changes."""
    picture = next(pictures(root / "samples/source_clip.mp4"))
    smaller = np.ascontiguousarray(picture[:, 64:])
    with PoseEstimator(PoseDetail.BODY) as estimator, PoseEstimator(PoseDetail.BODY) as fresh:
        estimator.estimate(picture)
        changed, expected = estimator.estimate(smaller), fresh.estimate(smaller)
    assert changed.state_after == expected.state_after


def test_unrelated_pictures_do_not_influence_each_other(root):
    """A picture gives the same pose after other pictures as alone."""
    shown = list(pictures(root / "samples/source_clip.mp4", count=3))
    with PoseEstimator(PoseDetail.BODY, unrelated_pictures=True) as estimator:
        after_others = [estimator.estimate(picture).dancer for picture in shown][-1]
        alone = estimator.estimate(shown[-1]).dancer
    assert after_others is not None
    assert alone is not None
    np.testing.assert_array_equal(after_others.joints_px, alone.joints_px)


def test_closing_twice_is_harmless():
    """Closing an estimator again, here by its context manager, does nothing."""
    with PoseEstimator(PoseDetail.BODY) as estimator:
        estimator.close()


@real_clips
def test_a_juggler_is_found_with_face_hands_and_mask(clips):
    """Detail HOLISTIC finds body, face and hands, and the mask covers the person."""
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
def test_live_detects_face_and_hands_in_every_nth_frame(clips):
    """Detail LIVE reports which faces and hands were carried; the body is the same as with detail BODY."""
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
    """A person below the minimum height is not reported."""
    picture = next(pictures(clips / "target_juggle.mp4"))
    for fraction, people in ((0.25, 1), (1.0, 0)):
        with PoseEstimator(PoseDetail.BODY, rules=PoseRules(min_height_fraction=fraction)) as estimator:
            assert len(estimator.estimate(picture).people) == people


@real_clips
def test_a_mirrored_picture_gives_the_mirrored_pose(clips):
    """Left and right are correct: flipping the picture flips the pose."""
    picture = next(pictures(clips / "target_juggle.mp4"))
    poses = []
    for shown in (picture, np.ascontiguousarray(picture[:, ::-1])):
        with PoseEstimator(PoseDetail.BODY) as estimator:
            dancer = estimator.estimate(shown).dancer
        assert dancer is not None
        poses.append(dancer)
    straight, mirrored = poses[0], flipped(poses[1], 1280)
    shoulders = [skeleton.L_SHOULDER, skeleton.R_SHOULDER, skeleton.L_HIP, skeleton.R_HIP]
    distance_px = np.linalg.norm(straight.joints_px[shoulders] - mirrored.joints_px[shoulders], axis=1)
    assert distance_px.max() < 0.03 * 720


@real_clips
@pytest.mark.parametrize(("clip", "first"), [("target_juggle", 0), ("source_squats", 0), ("source_balance", 0)])
def test_people_are_found_in_the_first_frames(clips, clip, first):
    """Each of the first frames of a clip of one person has a pose."""
    with PoseEstimator(PoseDetail.BODY) as estimator:
        assert found_in([estimator.estimate(p) for p in pictures(clips / f"{clip}.mp4", first, 12)]) == 1


@real_clips
@pytest.mark.parametrize("clip", ["hard_no_person", "hard_one_by_one"])
def test_no_person_is_found_in_the_first_frames(clips, clip):
    """Cars and a table are not taken for people."""
    with PoseEstimator(PoseDetail.BODY) as estimator:
        assert found_in([estimator.estimate(p) for p in pictures(clips / f"{clip}.mp4", 0, 30)]) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@real_clips
@pytest.mark.parametrize("clip", ["target_juggle", "source_squats", "source_balance"])
def test_people_are_found_in_whole_clips(clips, clip, record_property):
    """At least 99 % of the frames have a pose."""
    with PoseEstimator() as estimator:
        share = found_in([estimator.estimate(picture) for picture in pictures(clips / f"{clip}.mp4")])
    record_property("share_of_frames_with_a_pose", share)
    assert share >= 0.99


@pytest.mark.slow
@pytest.mark.timeout(600)
@real_clips
def test_no_car_is_ever_a_person(clips):
    """No frame of a clip without people has a pose."""
    with PoseEstimator() as estimator:
        assert found_in([estimator.estimate(picture) for picture in pictures(clips / "hard_no_person.mp4")]) == 0


@pytest.mark.slow
@pytest.mark.timeout(600)
@real_clips
def test_the_empty_room_stays_empty(clips, root):
    """At most 2 % of the frames without a visible person have a pose, and at least 90 % of the others."""
    listed = json.loads((root / "tests/golden/one_by_one_empty_frames.json").read_text())
    empty = np.zeros(listed["frames"], bool)
    for first, last in listed["empty"]:
        empty[first : last + 1] = True
    with PoseEstimator() as estimator:
        found = np.array([bool(estimator.estimate(p).people) for p in pictures(clips / "hard_one_by_one.mp4")])
    assert len(found) == listed["frames"]
    assert found[empty].mean() <= 0.02
    assert found[~empty].mean() >= 0.9
