"""Networks of the backends besides MediaPipe: model cards, files, runtimes."""
