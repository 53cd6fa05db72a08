"""Which versions may be served."""

import pytest

from training.gate import judged


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
    """Differences as small as those between two trainings do not count; every reason has its numbers."""
    verdict = judged(new, None if served is None else served | {"version": 3})
    assert verdict.passed == (not reason)
    assert reason in " ".join(verdict.reasons)
