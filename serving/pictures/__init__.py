"""Encoding and decoding of pictures, within limits."""
