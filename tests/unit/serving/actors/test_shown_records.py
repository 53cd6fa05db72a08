"""What lists show of an actor's records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from serving.actors.shown_records import shown_scores, trained_at_s
from serving.actors.store import METADATA_FILE, Actor, ActorStore
from tests.released_actors import WITHOUT_WARDROBE
from tests.tiny_actors import publish_tiny


@pytest.fixture
def kind(tmp_path: Path) -> Actor:
    """An actor whose records are empty."""
    return publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "kind")


def test_the_scores_that_mean_something_are_shown_by_name(root: Path):
    """Of the sample actor they are those of its README."""
    sample = ActorStore(root / "samples" / "actors").load("sample")
    shown = shown_scores(sample)
    assert set(shown) == {"sharpness", "face_ssim", "body_ssim", "pose_distance", "flicker"}
    assert (round(shown["sharpness"], 2), round(shown["body_ssim"], 3)) == (0.84, 0.775)


def test_an_actor_of_the_first_release_shows_what_it_has(tmp_path: Path):
    """It has no sharpness, and does not say when it was trained."""
    folder = publish_tiny(ActorStore(tmp_path / "actors"), tmp_path, "old").folder
    document = json.loads((folder / METADATA_FILE).read_text())
    released = json.loads(WITHOUT_WARDROBE)
    del document["consent_record"]
    document |= {name: released[name] for name in ("trained", "scores", "consent")}
    (folder / METADATA_FILE).write_text(json.dumps(document))
    old = ActorStore(tmp_path / "actors").load("old")
    assert shown_scores(old) == {"face_ssim": 0.7616, "body_ssim": 0.801, "pose_distance": 0.037}
    assert trained_at_s(old) is None
    assert old.consent.text == released["consent"]


@pytest.mark.parametrize("odd", [None, "0.8", True, [0.8], {"mean": 0.8}, float("nan")])
def test_a_score_of_another_kind_is_left_out(kind: Actor, odd: Any):
    """Records are for people and hold anything; the other scores are shown."""
    assert shown_scores(replace(kind, scores={"held_out": {"sharpness": odd, "face_ssim": 0.5}})) == {"face_ssim": 0.5}
    assert shown_scores(replace(kind, scores={"held_out": odd})) == {}


@pytest.mark.parametrize(
    ("stored", "seconds"),
    [
        ("1970-01-01T00:01:00+00:00", 60.0),
        ("1970-01-01T02:00:00+01:00", 3600.0),
        ("1970-01-01T00:01:00", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("9999-12-31T23:59:59-23:00", None),
        ("yesterday", None),
        (60, None),
    ],
)
def test_only_a_whole_time_says_when_a_version_was_trained(kind: Actor, stored: object, seconds: float | None):
    """Without its distance from UTC a time may be any of a day's, and a message holds only the years up to 9998."""
    assert trained_at_s(replace(kind, trained={"trained_at": stored})) == seconds
