"""The tables with which the page turns MediaPipe's landmarks into joints, and draws them.

They come from the same modules that the pose service uses, so that no number is written twice.
"""

from __future__ import annotations

from dataclasses import asdict

from motion import skeleton
from motion.labelmap import STROKES
from services.pose.estimator import PoseRules
from web.browser_pose.bundle import PoseBundle

_PARTS = {
    "body": skeleton.BODY,
    "face": skeleton.FACE,
    "left_hand": skeleton.LEFT_HAND,
    "right_hand": skeleton.RIGHT_HAND,
}


def joint_tables(bundle: PoseBundle) -> dict[str, object]:
    """Return what `GET /api/skeleton` answers, for JSON.

    joint_count, body_names, mirrored: as in `motion.skeleton`. parts: `[first, end]` of each part's joints. landmarks:
    how MediaPipe's landmarks become joints: `body` (joint, landmark), `means` (joint, two landmarks), `face` (a mesh
    point for each point of the face). rules: as in `PoseRules`. strokes: as in `motion.labelmap.Strokes`. bundle: the
    files of the pose finder.
    """
    return {
        "joint_count": skeleton.JOINT_COUNT,
        "body_names": skeleton.BODY_NAMES,
        "mirrored": skeleton.MIRRORED,
        "parts": {name: [part.start, part.stop] for name, part in _PARTS.items()},
        "landmarks": {
            "body": skeleton.MEDIAPIPE_TO_BODY,
            "means": skeleton.MEDIAPIPE_MEANS_TO_BODY,
            "face": skeleton.MEDIAPIPE_MESH_TO_FACE,
        },
        "rules": asdict(PoseRules()),
        "strokes": asdict(STROKES),
        "bundle": bundle.description(),
    }
