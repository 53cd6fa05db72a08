"""Pose estimation without a server: `dance pose` and `dance evaluate-pose`."""
