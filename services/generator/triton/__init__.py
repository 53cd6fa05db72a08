"""Triton as a process: install, start, protect, call, and clean up after it."""
