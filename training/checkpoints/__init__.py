"""Checkpoints of a training, and the identity that decides which training may resume from them."""
