"""Keypoint files: poses in OpenPose's JSON format."""
