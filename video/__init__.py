"""Reads video files, cameras and streams with PyAV. Imports motion and serving."""
