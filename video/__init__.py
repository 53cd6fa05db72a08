"""Reads video files, cameras and streams. PyAV; imports motion and serving."""
