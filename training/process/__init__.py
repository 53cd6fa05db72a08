"""The training process: work folder, signals, several processes."""
