"""The quality gate decides which versions may be served."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from serving.actors.store import ActorStore
from tests.tiny_actors import publish_tiny
from training.publishing.quality_gate import verdict_against_served, verdict_on


def scores(ssim, *, nearest=0.6, distance=0.1):
    return {
        "held_out": {"body_ssim": ssim},
        "nearest_training_frame": {"body_ssim": nearest},
        "pose_distance": {"distance": distance},
    }


@pytest.mark.parametrize(
    ("new", "served", "reason"),
    [
        (scores(0.7), None, ""),
        (scores(0.6), None, "nearest training frame"),
        (scores(0.7), scores(0.704), ""),
        (scores(0.7), scores(0.71), "body SSIM 0.700 is worse than version 3's 0.710"),
        (scores(0.8, distance=0.2), scores(0.7), "pose distance 0.200, version 3 has 0.100"),
        (scores(0.8, distance=None), scores(0.7), "pose distance not measurable"),
        (scores(0.8), scores(0.7, distance=None), ""),
    ],
)
def test_a_version_must_beat_the_baseline_and_keep_up_with_what_is_served(new, served, reason):
    """Differences as small as between two trainings do not count; every reason has its numbers."""
    verdict = verdict_on(new, None if served is None else served | {"version": 3})
    assert verdict.passed == (not reason)
    assert reason in " ".join(verdict.reasons)


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
    monkeypatch.setattr("training.publishing.quality_gate._drawn_by", lambda *_: [])
    held_out: Any = SimpleNamespace(
        scores=lambda runs: SimpleNamespace(to_dict=lambda: {"body_ssim": 0.7}),
        pose_scores=lambda runs: SimpleNamespace(to_dict=lambda: {"distance": 0.1}),
    )
    facts = {"footage_fingerprint": "joint", "footage_file_fingerprints": ["one", "three"]}
    verdict = verdict_against_served(store, "bar", scores(0.7), prepared, held_out, facts)
    assert verdict.passed == known
    assert (verdict.compared_with is not None) == known
    assert ("may have learned" in verdict.not_compared) != known


def test_a_version_of_another_size_is_not_compared_and_not_served(tmp_path, prepared):
    """After new filming at another size, the served version may be the better one."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "bar")
    unasked: Any = None
    verdict = verdict_against_served(store, "bar", scores(0.7), prepared, unasked, {})
    assert not verdict.passed
    assert verdict.not_compared == "version 1 was filmed at another size than this footage"


def test_a_served_version_that_cannot_draw_does_not_block_a_new_one(tmp_path, prepared):
    """The new version passes, and the reason for the missing comparison is kept."""
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "bar", label_map_version=0)
    unasked: Any = None
    verdict = verdict_against_served(store, "bar", scores(0.7), prepared, unasked, {})
    assert verdict.passed
    assert "label maps of version 0" in verdict.not_compared
