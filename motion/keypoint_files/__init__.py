"""Keypoint files: reads and writes poses as OpenPose's JSON."""
