"""`python -m training.torchrun ...`: torchrun, with an exit code that shows how its processes ended.

torchrun itself always exits with 1 when a process fails, so a batch system could not distinguish unusable footage from
a lost peer. It takes torchrun's options and PET_* variables. Only the time that processes get to end after a signal is
longer, because they write gigabytes.
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
"""Default time between a signal and the kill. Pods have 120 seconds; the rest is for the kill itself."""


def run(arguments: Sequence[str]) -> int:
    """Run torchrun with `arguments`, and return one exit code for all of its processes."""
    # torchrun reads this last, after its option and the PET_ variable of that option.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_SECONDS))
    try:
        torchrun(list(arguments))
    except ChildFailedError as error:
        code = together(failure.exitcode for failure in error.failures.values())
        ended = ", ".join(f"{rank} with {failure.exitcode}" for rank, failure in sorted(error.failures.items()))
        print(f"error: processes of this training failed: {ended}", file=sys.stderr, flush=True)
        return code
    except SignalException as stopped:
        # It has forwarded the signal and waited, or killed: it does not report how each process ended.
        print(
            f"interrupted by signal {stopped.sigval.value}; the same command goes on from the newest checkpoint",
            flush=True,
        )
        return EXIT_INTERRUPTED
    return EXIT_PUBLISHED


def together(codes: Iterable[int]) -> int:
    """One code for several processes: a lost peer makes the others fail, so the code with a reason wins."""
    found = set(codes)
    return next((code for code in (EXIT_FINAL, EXIT_INTERRUPTED) if code in found), EXIT_FAILED)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
