"""A stand-in for a process of a distributed training: prints its rank, and ends as instructed."""

from __future__ import annotations

import os
import sys
import time

from serving.process.exit_codes import EXIT_FINAL, EXIT_INTERRUPTED
from serving.process.stop_signals import stop_on_signals

if __name__ == "__main__":
    with stop_on_signals() as should_stop:
        print(f"rank {os.environ['RANK']} of {os.environ['WORLD_SIZE']}", flush=True)
        if sys.argv[1] == "wrong":
            sys.exit(EXIT_FINAL)
        deadline = time.monotonic() + 60
        while not should_stop() and time.monotonic() < deadline:
            time.sleep(0.05)
        sys.exit(EXIT_INTERRUPTED)
