"""Moves frames through pose, normalize, label map, reference, generator, face and encode. Owns a session's state."""
