"""Draws `standing_pose.json` as `standing_label_map_v<version>.png`. Run it once after raising LABEL_MAP_VERSION."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

from motion.labelmap import LABEL_MAP_VERSION, draw_label_map
from motion.pose import Pose

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Write the picture next to this file."""
    golden = json.loads((HERE / "standing_pose.json").read_text())
    joints = np.array(golden["joints"], np.float32)
    label_map = draw_label_map(Pose(joints[:, :2], joints[:, 2]), golden["width_px"], golden["height_px"])
    path = HERE / f"standing_label_map_v{LABEL_MAP_VERSION}.png"
    cv2.imwrite(str(path), label_map[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])


if __name__ == "__main__":
    main()
