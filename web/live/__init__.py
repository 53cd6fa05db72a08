"""Live sessions: one WebSocket in front of one resuming `Transfer` session."""
