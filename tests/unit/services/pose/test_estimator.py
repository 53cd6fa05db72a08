"""The interface that all pose backends share."""

from __future__ import annotations

import subprocess
import sys

import pytest

from services.pose.estimator import PoseRules


@pytest.mark.parametrize(
    "invalid",
    [{"min_detection_confidence": 1.1}, {"min_height_fraction": -0.1}, {"face_and_hands_every_n": 0}],
)
def test_invalid_rules_are_rejected_by_name(invalid):
    """A rule out of range is rejected with an error that names it."""
    with pytest.raises(ValueError, match=next(iter(invalid))):
        PoseRules(**invalid)


def test_the_interface_does_not_import_mediapipe(root):
    """Importing the types does not import MediaPipe, which takes a second."""
    program = "import sys, services.pose.estimator; sys.exit('mediapipe' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=root, check=True, timeout=60)
