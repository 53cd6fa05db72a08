"""Reports of a training: progress, loss curves, held-out scores, metrics."""
