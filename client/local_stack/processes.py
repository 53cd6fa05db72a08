"""Child processes: started, waited for until ready, watched, and ended reliably."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from client.errors import StackFailed
from serving.process.parent_death import adopted
from serving.rpc.channels import open_channel

_READY: Final = b"ready "
_LOG_TAIL_LINES: Final = 8
_POLL_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to start.

    name: shown to the user, and the name of the log file. command: program (absolute path) and arguments.
    environment: variables added to the inherited ones.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """A process's ready line: `ready name=pose port=1 health_port=2 metrics_port=3`."""

    name: str
    ports: Mapping[str, int]
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Addresses that are more than a port: `triton_address=unix:/tmp/…`."""

    @classmethod
    def parsed(cls, line: str) -> Ready:
        """Parse a ready line. Raises ValueError."""
        words = dict(word.split("=", 1) for word in line.split()[1:])
        if "port" not in words or "health_port" not in words:
            raise ValueError(f"a ready line must contain port and health_port, got {line!r}")
        ports = {key: int(value) for key, value in words.items() if key == "port" or key.endswith("_port")}
        addresses = {key: value for key, value in words.items() if key.endswith("_address")}
        return cls(words.get("name", ""), ports, addresses)


class ManagedProcess:
    """One child process in its own process group, so that Ctrl-C in the terminal does not reach it.

    Its output goes to `log`. It receives SIGTERM when this process dies, for whatever reason.
    """

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._child: asyncio.subprocess.Process | None = None
        self._asked_to_end = False

    @property
    def name(self) -> str:
        """The name of the process."""
        return self.spec.name

    @property
    def pid(self) -> int:
        """The id of the process and of its group. Raises RuntimeError before `start`."""
        return self._running().pid

    @property
    def runs(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._child is not None and self._child.returncode is None

    async def start(self) -> None:
        """Start the process. Raises StackFailed if the program does not exist."""
        environment = {
            **os.environ,
            # By default OpenMP spins while it waits; on shared cores that slows everything down 3 to 20 times.
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
            **self.spec.environment,
        }
        with self.log.open("wb") as log:
            try:
                self._child = await asyncio.create_subprocess_exec(
                    *adopted(*self.spec.command),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=environment,
                    start_new_session=True,  # and so a group of its own; uvloop has no process_group
                )
            except OSError as error:
                raise StackFailed(f"{self.name} cannot be started: {error}") from error

    async def ready(self, limit_seconds: float) -> Ready:
        """Wait for the ready line and for SERVING on the health port. Raises StackFailed with the end of the log."""
        try:
            async with asyncio.timeout(limit_seconds):
                ready = await self._ready_line()
                await self._serving(ready.ports["health_port"])
                return ready
        except TimeoutError as error:
            raise self._failed(f"was not ready within {limit_seconds:.0f} s") from error
        except ValueError as error:
            raise self._failed(str(error)) from error

    async def died(self) -> StackFailed:
        """Wait until the process ends by itself, and return the error to raise."""
        return self._failed(f"ended by itself ({_ending(await self.exit_code())})")

    async def exit_code(self) -> int:
        """Wait until the process ends by itself. Negative if a signal killed it."""
        return await self._running().wait()

    async def end(self, limit_seconds: float) -> None:
        """Send SIGTERM, then SIGKILL to the whole group after `limit_seconds`. Safe to call at any time."""
        if self._child is None:
            return
        if self._child.returncode is None:
            # Only once: our services take a second SIGTERM as "at once" and skip their clean-up.
            if not self._asked_to_end:
                self._asked_to_end = True
                self._child.terminate()
            try:
                async with asyncio.timeout(limit_seconds):
                    await self._child.wait()
            except TimeoutError:
                self.kill()
                await self._child.wait()
        self.kill()

    def kill(self) -> None:
        """Send SIGKILL to what is left of its group."""
        if self._child is not None:
            with suppress(ProcessLookupError):  # nothing is left
                os.killpg(self._child.pid, signal.SIGKILL)

    def log_tail(self) -> tuple[str, ...]:
        """The last lines of the log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return tuple(line for line in lines if line.strip())[-_LOG_TAIL_LINES:]

    async def _ready_line(self) -> Ready:
        child = self._running()
        while True:
            # The log is a file, not a pipe: a process must not block or die because its launcher is gone.
            ended = child.returncode is not None
            complete_lines = self.log.read_bytes().split(b"\n")[:-1]
            for line in complete_lines:
                if line.startswith(_READY):
                    return Ready.parsed(line.decode(errors="replace"))
            if ended:
                raise self._failed(f"did not start ({_ending(child.returncode)})")
            await asyncio.sleep(_POLL_SECONDS)

    async def _serving(self, health_port: int) -> None:
        child = self._running()
        async with open_channel(f"127.0.0.1:{health_port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            while True:
                try:
                    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5.0)
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
                except grpc.aio.AioRpcError as error:
                    if child.returncode is not None:
                        raise self._failed(f"did not start ({_ending(child.returncode)})") from error
                await asyncio.sleep(_POLL_SECONDS)

    def _running(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._child

    def _failed(self, what: str) -> StackFailed:
        return StackFailed(f"{self.name} {what}; its log is {self.log}", self.log_tail())


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"
