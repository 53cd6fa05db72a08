"""One session: chains the stages for a client, and its checkpoints."""
