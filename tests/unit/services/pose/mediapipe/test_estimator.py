"""The engine on MediaPipe's networks finds people, and nothing in pictures without people."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from motion import skeleton
from motion.pose_choice import PoseDetail
from services.pose.estimator import PoseRules
from services.pose.mediapipe.estimator import PoseEstimator
from services.pose.mediapipe.track import Track
from tests.mirrored_pose import flipped
from tests.unit.services.pose.clips import found_in, pictures, real_clips


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


def test_face_and_hands_may_be_detected_as_rarely_as_asked(root):
    """The state counts further than a client waits, here from the 254th frame of 1000 on."""
    picture = next(pictures(root / "samples/source_clip.mp4"))
    with PoseEstimator(PoseDetail.LIVE) as estimator:
        track = Track.from_bytes(estimator.estimate(picture).state_after)
    state = replace(track, frames_since_detection=254).to_bytes()
    for since in (255, 256):
        with PoseEstimator(PoseDetail.LIVE, rules=PoseRules(face_and_hands_every_n=1000), state=state) as estimator:
            estimate = estimator.estimate(picture)
        assert estimate.face_and_hands_carried
        state = estimate.state_after
        assert Track.from_bytes(state).frames_since_detection == since


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
