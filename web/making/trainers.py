"""Where trainings run: as a process on this machine, or as a Job on a cluster."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from client.cluster.options import ClusterAccess, ClusterTraining
from client.errors import CommandError
from client.local_stack.processes import ManagedProcess, ProcessSpec
from client.training.unattended import UnattendedTraining

if TYPE_CHECKING:
    from client.cluster.unattended import JobRun

Result = TypeVar("Result")
OnLine = Callable[[str], None]

_LOG_FILE: Final = "training.log"
_POLL_SECONDS: Final = 0.2
_END_SECONDS: Final = 10.0
"""A training ends within a step after SIGTERM; after this time it is killed, and goes on from an older checkpoint."""
_NICENESS: Final = 5
"""Live sessions on the same cores go first."""


class TrainingBroke(Exception):
    """The training could not be started or followed; the message is for the log. A retry may help."""


class Trainer(Protocol):
    """Runs one training at a time."""

    async def run(self, training: UnattendedTraining, submission: str, on_line: OnLine) -> int:
        """Run a training to its end, and return its exit code; see `serving.process.exit_codes`.

        submission: identifies the run; one that a killed gateway left behind goes on. on_line: called on the event loop
        with each line of the log. When cancelled, the training is stopped, unless it goes on elsewhere and is found
        again. Raises TrainingBroke.
        """

    async def cancel(self, training: UnattendedTraining, submission: str) -> None:
        """End what may still run of it, after `run` was cancelled: nothing writes its files afterwards.

        Raises TrainingBroke.
        """


class TrainerHere:
    """Runs trainings as child processes, which end with this one. They go on from their last checkpoint."""

    async def run(self, training: UnattendedTraining, submission: str, on_line: OnLine) -> int:
        training.work.mkdir(parents=True, exist_ok=True)
        log = training.work / _LOG_FILE
        process = ManagedProcess(ProcessSpec("training", training.command()), log)
        try:
            await process.start()
        except CommandError as error:
            raise TrainingBroke(str(error)) from error
        try:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
            return await _followed(process, log, on_line)
        finally:
            await process.end(_END_SECONDS)

    async def cancel(self, training: UnattendedTraining, submission: str) -> None:
        """Do nothing: the process has ended with `run`."""


async def _followed(process: ManagedProcess, log: Path, on_line: OnLine) -> int:
    """Report the lines of a process's log until it ends; returns its exit code."""
    ended = asyncio.create_task(process.exit_code())
    place = 0
    try:
        while True:
            done, _ = await asyncio.wait({ended}, timeout=_POLL_SECONDS)
            with log.open("rb") as file:
                file.seek(place)
                *lines, rest = file.read().split(b"\n")
            place += sum(len(line) + 1 for line in lines)
            for line in lines:
                on_line(line.decode(errors="replace"))
            if done:
                if rest:
                    on_line(rest.decode(errors="replace"))
                return ended.result()
    finally:
        ended.cancel()


@dataclass(frozen=True, slots=True)
class TrainerOnCluster:
    """Runs trainings as Jobs. They go on without the gateway, and are found again after its restart.

    access, image, template, gpus: as in `dance train --on kubernetes`. patience_seconds: how long a lost cluster is
    tried again.
    """

    access: ClusterAccess
    image: str | None
    gpus: int
    template: Path | None = None
    patience_seconds: float = 600.0

    async def run(self, training: UnattendedTraining, submission: str, on_line: OnLine) -> int:
        loop = asyncio.get_running_loop()

        def on_lines_loop(line: str) -> None:
            with suppress(RuntimeError):  # the loop was closed: the gateway has ended
                loop.call_soon_threadsafe(on_line, line)

        return await _in_daemon_thread(self._job_run(training, submission, on_lines_loop).run)

    async def cancel(self, training: UnattendedTraining, submission: str) -> None:
        await _in_daemon_thread(self._job_run(training, submission, lambda line: None).cancel)

    def _job_run(self, training: UnattendedTraining, submission: str, on_line: OnLine) -> JobRun:
        from client.cluster.unattended import JobRun  # only a gateway on a cluster has the Kubernetes client

        asked = ClusterTraining(
            training=training.request(),
            access=self.access,
            gpus=self.gpus,
            image=self.image,
            template=self.template,
            patience_seconds=self.patience_seconds,
        )
        return JobRun(asked, training.work, submission, on_line)


async def _in_daemon_thread(work: Callable[[], Result]) -> Result:
    """Run `work` in a thread that neither a cancellation nor the end of the process waits for.

    Raises TrainingBroke for a CommandError.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[Result] = loop.create_future()

    def report(result: Result | None, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(result)  # type: ignore[arg-type]
        else:
            outcome.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except CommandError as failed:
            error = TrainingBroke(str(failed))
        except Exception as failed:
            error = TrainingBroke(f"{type(failed).__name__}: {failed}")
        with suppress(RuntimeError):  # the loop was closed
            loop.call_soon_threadsafe(report, result, error)

    threading.Thread(target=run, name="training on a cluster", daemon=True).start()
    return await outcome
