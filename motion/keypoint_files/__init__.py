"""Poses in files: the JSON that OpenPose writes, read and written."""
