"""The `rtmpose` pose backend: one crop per person, SimCC coordinates."""
