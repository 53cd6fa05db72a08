"""What a training reports: progress, loss curves, metrics."""
