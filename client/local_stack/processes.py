"""Child processes that say when they are ready, are watched, and are ended for certain."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
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
_LOOK_AGAIN_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A process to start.

    name: for people, and for its log file. command: program (absolute path) and arguments. environment: variables set
    beside the inherited ones.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ready:
    """What a process said on its ready line: `ready name=pose port=1 health_port=2 metrics_port=3`."""

    name: str
    ports: Mapping[str, int]
    addresses: Mapping[str, str] = field(default_factory=dict)
    """What other processes call it at, where a port alone does not say: `triton_address=unix:/tmp/…`."""

    @classmethod
    def parsed(cls, line: str) -> Ready:
        """Raises ValueError for a line that is none."""
        words = dict(word.split("=", 1) for word in line.split()[1:])
        if "port" not in words or "health_port" not in words:
            raise ValueError(f"a ready line names port and health_port, got {line!r}")
        ports = {key: int(value) for key, value in words.items() if key == "port" or key.endswith("_port")}
        addresses = {key: value for key, value in words.items() if key.endswith("_address")}
        return cls(words.get("name", ""), ports, addresses)


class ManagedProcess:
    """One child in a process group of its own, which therefore does not see the terminal's Ctrl-C.

    Its output goes to `log`. It gets SIGTERM when this process dies, however it dies.
    """

    def __init__(self, spec: ProcessSpec, log: Path) -> None:
        self.spec = spec
        self.log = log
        self._child: asyncio.subprocess.Process | None = None
        self._asked_to_end = False

    @property
    def name(self) -> str:
        """Of the process, for people."""
        return self.spec.name

    @property
    def pid(self) -> int:
        """Of the running process, which is also its group's; RuntimeError before `start`."""
        return self._running().pid

    async def start(self) -> None:
        """Starts the process; raises StackFailed when there is no such program."""
        environment = {
            **os.environ,
            # On shared cores OpenMP's default is to spin, and everything runs 3 to 20 times slower.
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
                    process_group=0,
                )
            except OSError as error:
                raise StackFailed(f"{self.name} cannot be started: {error}") from error

    async def ready(self, limit_seconds: float) -> Ready:
        """Waits for the ready line and for SERVING on the health port. Raises StackFailed, log's end included."""
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
        """Waits until the process ends by itself, and gives the error that says so."""
        code = await self.exit_code()
        return self._failed(f"ended by itself ({_ending(code)})")

    async def exit_code(self) -> int:
        """Waits until the process ends by itself; negative for the signal that killed it."""
        return await self._running().wait()

    async def end(self, limit_seconds: float) -> None:
        """SIGTERM, then SIGKILL for its whole group after `limit_seconds`. Safe to call at any time."""
        if self._child is None:
            return
        if self._child.returncode is None:
            # Only once: our services take a later second SIGTERM for "at once", and leave things behind.
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
        """SIGKILL for whatever is left of its group, at once."""
        if self._child is None:
            return
        try:
            os.killpg(self._child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing is left

    def log_tail(self) -> tuple[str, ...]:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return tuple(line for line in lines if line.strip())[-_LOG_TAIL_LINES:]

    async def _ready_line(self) -> Ready:
        child = self._running()
        while True:
            # The log is a file, so that a process never blocks on, or dies of, a launcher that has gone.
            ended = child.returncode is not None
            complete_lines = self.log.read_bytes().split(b"\n")[:-1]
            for line in complete_lines:
                if line.startswith(_READY):
                    return Ready.parsed(line.decode(errors="replace"))
            if ended:
                raise self._failed(f"did not start ({_ending(child.returncode)})")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)

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
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)

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
