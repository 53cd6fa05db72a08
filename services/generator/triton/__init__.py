"""Triton as a process: find, start, protect and call it, and clean up after it."""
