"""Frames in flight, the bounded links between stages, and the loop that plays them."""
