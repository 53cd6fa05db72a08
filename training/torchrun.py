"""`python -m training.torchrun ...`: torchrun, with an exit code that says how its processes ended.

torchrun itself ends with 1 whatever its processes ended with, so a batch system could not tell footage that cannot be
trained from a lost peer. Options are torchrun's, also as its variables PET_*; only the time that processes have to end
after a signal is longer, since they write gigabytes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main as torchrun

from serving.process.exit_codes import EXIT_FAILED, EXIT_FINAL, EXIT_INTERRUPTED, EXIT_PUBLISHED

SHUTDOWN_SECONDS: Final = 110
"""From a signal to the kill, where nobody says otherwise. Pods have 120 seconds, of which the last are for the kill."""


def run(arguments: Sequence[str]) -> int:
    """The exit code of `arguments`' processes together."""
    # What torchrun asks last, behind its option and the option's PET_ variable.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    try:
        torchrun(list(arguments))
    except ChildFailedError as error:
        code = together(failure.exitcode for failure in error.failures.values())
        ended = ", ".join(f"{rank} with {failure.exitcode}" for rank, failure in sorted(error.failures.items()))
        print(f"error: processes of this training failed: {ended}", file=sys.stderr, flush=True)
        return code
    except SignalException as stopped:
        # It has passed the signal on and waited, or killed: how each process ended it does not tell.
        print(
            f"interrupted by signal {stopped.sigval.value}; the same command goes on from the newest checkpoint",
            flush=True,
        )
        return EXIT_INTERRUPTED
    return EXIT_PUBLISHED


def together(codes: Iterable[int]) -> int:
    """One code for several: a peer that is gone makes the others fail, so whoever knows the reason is believed."""
    found = set(codes)
    return next((code for code in (EXIT_FINAL, EXIT_INTERRUPTED) if code in found), EXIT_FAILED)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
