"""Moves frames through the stages: pose, normalize, label map, generator, face, encode. Owns a session's state."""
