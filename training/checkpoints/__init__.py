"""Checkpoints of a training, and the identity that says which training may resume them."""
