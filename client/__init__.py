"""The `dance` command line: starts a stack, transfers videos, trains actors."""

import os

# gRPC's own log lines would run through the progress bar; what matters of them arrives as errors. It reads this once.
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
