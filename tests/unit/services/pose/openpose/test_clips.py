"""A real network on real footage: people are found and tracked, and nothing else is taken for a person."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from client.poses.local_estimation import EstimationOptions, VideoEstimator, pose_models
from motion import skeleton

NETWORK = "paf_mobilenet_v2_small.onnx"

pytestmark = [pytest.mark.real_clips, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def options(root: Path, clips: Path, tmp_path: Path) -> EstimationOptions:
    """The project's card for the network beside the clips; skips if there is none."""
    network = clips.parent / "models" / NETWORK
    if not network.is_file():
        pytest.skip(f"no network: {network} does not exist")
    card = json.loads((root / "services/pose/cards/tf_pose_mobilenet_v2_small.json").read_text())
    card["model"]["path"] = str(network)
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card))
    return EstimationOptions(models=pose_models(None, [path]))


def test_two_people_are_two_and_the_dancer_is_one(clips, options):
    """The man in front is the dancer in all frames where he is found, the woman in none; there are no other people."""
    ids: Counter[int] = Counter()
    dancers = set()
    with VideoEstimator(str(clips / "hard_two_people.mp4"), options) as estimator:
        for frame in estimator.frames():
            estimate = frame.found
            ids.update(estimate.person_ids)
            if estimate.dancer is not None:
                dancers.add(estimate.person_ids[estimate.dancer_index])
                seen = estimate.dancer.joints_px[skeleton.BODY][estimate.dancer.seen[skeleton.BODY]]
                # The woman is at the left, above a line; the man's feet are always below it.
                assert seen[:, 1].max() > 0.5 * frame.picture.shape[0]
    assert len(dancers) == 1
    assert len(ids) == 2


def test_cars_are_not_people(clips, options):
    """No person is found in a clip of cars."""
    with VideoEstimator(str(clips / "hard_no_person.mp4"), options) as estimator:
        assert not any(frame.found.people for frame in estimator.frames())
