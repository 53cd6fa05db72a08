"""The quality gate decides which versions may be served."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from serving.actors.store import ActorStore
from tests.tiny_actors import publish_tiny
from training.publishing.quality_gate import verdict_against_served, verdict_on


def scores(**measured):
    """Scores of a good version; measured: those that differ, by group and name, as in `pose_distance__missed`."""
    groups = {
        "held_out": {"body_ssim": 0.76, "face_ssim": 0.71, "sharpness": 0.96},
        "pose_distance": {"frames": 32, "frames_with_a_pose": 32, "distance": 0.04, "missed": 0.0, "face_missed": 0.5},
        "unseen_poses": {"poses": 12, "found": 12, "distance": 0.05, "missed": 0.0, "second_heads": 0},
        "flicker": {"levels": 3.9, "real_levels": 3.0, "ratio": 1.3},
        "pose_distance_floor": {"frames": 32, "frames_with_a_pose": 32, "distance": 0.02, "missed": 0.0},
    }
    for name, value in measured.items():
        group, _, of_group = name.partition("__")
        groups[group][of_group] = value
    return groups


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ({}, ""),
        ({"held_out__body_ssim": 0.5}, ""),
        ({"held_out__sharpness": 0.87}, ""),
        ({"held_out__sharpness": 0.75}, "it is blurred: sharpness 0.75 of the real frames', expected 0.85 to 1.15"),
        ({"held_out__sharpness": 1.3}, "it is noisier than the film: sharpness 1.30"),
        ({"held_out__face_ssim": 0.70}, ""),
        ({"held_out__face_ssim": 0.65}, "the face is less like the real one: face SSIM 0.650, version 3 has 0.710"),
        ({"pose_distance__distance": 0.1}, "limbs are away from the requested pose: the pose distance is 0.100 torso"),
        ({"pose_distance__distance": None}, "the pose distance cannot be measured, version 3 has 0.040"),
        ({"pose_distance__face_missed": 0.9}, "the face is lost: the detector misses 90% of its points, version 3 50%"),
        ({"unseen_poses__distance": 0.07}, ""),
        (
            {"unseen_poses__distance": 0.1},
            "in poses that the footage lacks is 0.100 torso lengths, version 3 has 0.050",
        ),
        (
            {"unseen_poses__missed": 0.1},
            "limbs are lost: the detector misses 10% of the joints in poses that the footage",
        ),
        ({"unseen_poses__second_heads": 2}, "a second head in 2 of the poses that the footage lacks, version 3 in 0"),
        ({"flicker__ratio": 1.44}, ""),
        ({"flicker__ratio": 1.6}, "it flickers: 1.60 times the real frames' own, version 3 1.30 times"),
    ],
)
def test_a_version_must_keep_up_with_what_is_served(new, reason):
    """A new version that is blurred, loses the face or moves limbs does not pass; the reason has the numbers."""
    verdict = verdict_on(scores(**new), scores() | {"version": 3})
    assert verdict.passed == (not reason)
    assert reason in " ".join(verdict.reasons)
    assert len(verdict.reasons) == bool(reason)


def test_a_blurred_version_does_not_keep_out_a_sharp_one():
    """SSIM, the face's too, and calm reward blur: a sharp version passes although all three are worse."""
    blurred = scores(
        held_out__sharpness=0.7, held_out__body_ssim=0.79, held_out__face_ssim=0.77, flicker__ratio=1.2,
        unseen_poses__distance=0.15, pose_distance__distance=0.1,
    )  # fmt: skip
    sharp = scores(held_out__sharpness=1.05, flicker__ratio=1.7)
    assert verdict_on(sharp, blurred | {"version": 1}).passed
    assert not verdict_on(blurred, sharp | {"version": 1}).passed
    moved = scores(held_out__sharpness=1.05, unseen_poses__distance=0.3)
    assert "limbs are away" in " ".join(verdict_on(moved, blurred | {"version": 1}).reasons)


def test_versions_that_are_equally_blurred_are_compared_by_their_faces():
    """Sharpness out of range counts only against a served version that is sharper."""
    served = scores(held_out__sharpness=0.7, held_out__face_ssim=0.6) | {"version": 1}
    assert verdict_on(scores(held_out__sharpness=0.69, held_out__face_ssim=0.62), served).passed
    assert not verdict_on(scores(held_out__sharpness=0.69, held_out__face_ssim=0.5), served).passed


def test_versions_of_one_training_do_not_lose_sharpness_bit_by_bit():
    """Noise beyond the range is granted once: version after version, it would let any blur through."""
    soft, softer = scores(held_out__sharpness=0.825), scores(held_out__sharpness=0.80)
    assert verdict_on(soft, scores() | {"version": 1}, same_training=True).passed
    assert verdict_on(softer, soft | {"version": 2}).passed
    (reason,) = verdict_on(softer, soft | {"version": 2}, same_training=True).reasons
    assert reason.startswith("it is blurred: sharpness 0.80")
    assert verdict_on(soft, softer | {"version": 2}, same_training=True).passed


def test_the_first_version_only_has_to_show_the_person():
    """Without a served version there is nothing better; pictures without a person do not pass."""
    assert verdict_on(scores(held_out__sharpness=0.6, flicker__ratio=3.0), None).passed
    lost = verdict_on(scores(pose_distance__frames_with_a_pose=3, pose_distance__distance=None), None)
    assert lost.reasons == ["the detector finds a person in 3 drawn held-out frames, in 32 of the film's own"]


def test_scores_that_could_not_be_measured_are_not_compared():
    """Footage without faces, or a version whose scores lack a measure, does not fail for it."""
    without = scores(held_out__face_ssim=None, flicker__ratio=None) | {"unseen_poses": None}
    assert verdict_on(without, scores() | {"version": 1}).reasons == [
        "limbs are away from the requested pose: the pose distance in poses that the footage lacks cannot be measured, "
        "version 1 has 0.050"
    ]
    assert verdict_on(scores(), without | {"version": 1}).passed


@pytest.mark.parametrize(
    ("record", "known"),
    [
        ({"footage_fingerprint": "joint"}, True),
        ({"footage_fingerprint": "two", "footage_file_fingerprints": ["two"]}, True),
        ({"footage_fingerprint": "one", "footage_file_fingerprints": ["one"]}, False),
        ({"footage_fingerprint": "one"}, False),
        ({}, False),
    ],
)
def test_a_version_that_cannot_be_compared_is_not_served(tmp_path, prepared, monkeypatch, record, known):
    """Versions are compared on the same footage or without shared files, but not on shared files or unclear records."""
    store = ActorStore(tmp_path / "actors")
    served = replace(publish_tiny(store, tmp_path, "bar"), trained=record, frame_size=prepared.frame_size)
    monkeypatch.setattr(store, "load", lambda actor_id: served)
    held_out: Any = SimpleNamespace(runs=[], quality=lambda runs, draw: scores())
    facts = {"footage_fingerprint": "joint", "footage_file_fingerprints": ["one", "three"]}
    verdict = verdict_against_served(store, "bar", scores(), prepared, held_out, facts)
    assert verdict.passed == known
    assert (verdict.compared_with is not None) == known
    assert ("may have learned" in verdict.not_compared) != known


@pytest.mark.parametrize(("state", "passed"), [("this", False), ("another", True)])
def test_versions_of_one_training_are_known_by_their_state(tmp_path, prepared, monkeypatch, state, passed):
    """The record names the training; another one of the same footage may differ by noise."""
    store = ActorStore(tmp_path / "actors")
    facts = {"footage_fingerprint": "one", "footage_file_fingerprints": ["one"], "state": "this"}
    record = facts | {"state": state}
    served = replace(publish_tiny(store, tmp_path, "bar"), trained=record, frame_size=prepared.frame_size)
    monkeypatch.setattr(store, "load", lambda actor_id: served)
    held_out: Any = SimpleNamespace(runs=[], quality=lambda runs, draw: scores(held_out__sharpness=0.82))
    softer = scores(held_out__sharpness=0.80)
    assert verdict_against_served(store, "bar", softer, prepared, held_out, facts).passed == passed


def test_a_version_of_another_size_is_not_compared_and_not_served(tmp_path, prepared):
    """After new filming at another size, the served version may be the better one."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "bar")
    unasked: Any = None
    verdict = verdict_against_served(store, "bar", scores(), prepared, unasked, {})
    assert not verdict.passed
    assert verdict.not_compared == "version 1 was filmed at another size than this footage"


def test_a_served_version_that_cannot_draw_does_not_block_a_new_one(tmp_path, prepared):
    """The new version passes, and the reason for the missing comparison is kept."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "bar", label_map_version=0)
    unasked: Any = None
    verdict = verdict_against_served(store, "bar", scores(), prepared, unasked, {})
    assert verdict.passed
    assert "label maps of version 0" in verdict.not_compared
