"""The training process: its work folder, and several processes that train together."""
