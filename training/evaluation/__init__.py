"""The quality of an actor: the paper's tables, flicker, speed, and transfers against their ground truth."""
