"""MediaPipe's networks are shared by all streams of a process."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from services.pose.mediapipe.networks import pose_networks, sigmoid


def test_streams_share_one_set_of_networks():
    """A second user gets the same compiled network."""
    assert pose_networks().hand_recrop is pose_networks().hand_recrop


def test_many_threads_get_their_own_answers():
    """Requests of many threads at once are answered as one after another."""
    network = pose_networks().hand_recrop
    generator = np.random.default_rng(3)
    crops = [generator.integers(0, 255, (network.side_px, network.side_px, 3), np.uint8) for _ in range(8)]
    expected = [network.run(crop)["output_crop"] for crop in crops]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda crop: network.run(crop)["output_crop"], crops))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_process_may_end_while_a_network_runs(root):
    """Its exit waits for the answers, which would otherwise abort it: the answers need the interpreter."""
    program = (
        "import numpy as np; from services.pose.mediapipe.networks import pose_networks; n = pose_networks().hand;"
        "[n.start(np.zeros((n.side_px, n.side_px, 3), np.uint8)) for _ in range(6)]"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_the_logistic_function_has_its_limits():
    """Large values give 0 and 1 without a warning."""
    np.testing.assert_allclose(sigmoid(np.array([-1000, 0, 1000], np.float32)), [0, 0.5, 1])
