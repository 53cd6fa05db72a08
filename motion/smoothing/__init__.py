"""Smoothing of joints over time, where later frames are known."""
