"""All services and the orchestrator as local processes: started, checked, watched, and ended in reverse order."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from client.errors import ServerError, StackFailed
from client.local_stack.processes import ManagedProcess, ProcessSpec, Ready

Result = TypeVar("Result")
Front = Callable[[Mapping[str, Ready]], ProcessSpec]

HOST: Final = "127.0.0.1"
START_SECONDS: Final = 180.0
END_SECONDS: Final = 15.0
_HURRIED_END_SECONDS: Final = 3.0
_DRAIN_SECONDS: Final = "3"


class LocalStack:
    """Worker processes and a front process that calls them; an async context manager.

    The workers start in parallel. Once all are ready, `front` receives their ready lines and starts; then, if there is
    one, `page`, the process that serves the page in a browser. On exit they end in reverse order. A cancellation during
    the exit speeds it up; a second one kills what is left.

    logs: folder for `<name>.log` files. told: called with lines for the user while processes start.
    Entering raises StackFailed.
    """

    def __init__(
        self,
        workers: Sequence[ProcessSpec],
        front: Front,
        logs: Path,
        *,
        page: Front | None = None,
        told: Callable[[str], None] = lambda line: None,
        start_seconds: float = START_SECONDS,
        end_seconds: float = END_SECONDS,
    ) -> None:
        self.workers = workers
        self.front = front
        self.page = page
        self.logs = logs
        self._told = told
        self._start_seconds = start_seconds
        self._end_seconds = end_seconds
        self._processes: list[ManagedProcess] = []
        self.ready: dict[str, Ready] = {}
        self.address = ""
        self.page_port = 0

    async def __aenter__(self) -> LocalStack:
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            if self.workers:
                self._told(f"starting {', '.join(spec.name for spec in self.workers)}")
            workers = [await self._started(spec) for spec in self.workers]
            async with asyncio.TaskGroup() as group:
                for process in workers:
                    group.create_task(self._gate(process, workers), name=process.name)
            front = await self._start_one(self.front)
            self.address = f"{HOST}:{self.ready[front].ports['port']}"
            if self.page is not None:
                self.page_port = self.ready[await self._start_one(self.page)].ports["port"]
        except BaseException as error:
            if running := [process.name for process in self._processes if process.runs]:
                self._told(f"ending {', '.join(running)}")
            await self._end_at_once(self._end_seconds)
            if isinstance(error, BaseExceptionGroup):
                # The first failure is the cause; the others follow from it.
                raise error.exceptions[0] from None
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.end()

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name, while the stack is up."""
        return {process.name: process.pid for process in self._processes}

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` and return its result. Raises StackFailed, with the end of its log, if a process dies."""
        working = asyncio.create_task(work)
        watching = asyncio.create_task(self.failed())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if working.done() and isinstance(working.exception(), ServerError):
                # A dead process fails the session first. Its own error is noticed a moment later, and says more.
                await asyncio.wait({watching}, timeout=0.5)
            if watching.done() and not (working.done() and working.exception() is None):
                raise watching.result()
            return await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def failed(self) -> StackFailed:
        """Wait until any process ends by itself, and return the error to raise."""
        waits = [asyncio.create_task(process.died()) for process in self._processes]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        finally:
            for wait in waits:
                wait.cancel()

    async def end(self) -> None:
        """End all processes in reverse order of their start; after a cancellation, all at once."""
        try:
            for process in reversed(self._processes):
                await process.end(self._end_seconds)
        except asyncio.CancelledError:
            await self._end_at_once(_HURRIED_END_SECONDS)
            raise
        finally:
            self._kill()

    async def _end_at_once(self, limit_seconds: float) -> None:
        """End all processes together: after a failed start, when none works for another yet, or in a hurry."""
        try:
            await asyncio.gather(*(process.end(limit_seconds) for process in self._processes))
        finally:
            self._kill()

    def _kill(self) -> None:
        for process in reversed(self._processes):
            process.kill()

    async def _start_one(self, made: Front) -> str:
        process = await self._started(made(self.ready))
        self._told(f"starting {process.name}")
        await self._gate(process, [process])
        return process.name

    async def _started(self, spec: ProcessSpec) -> ManagedProcess:
        process = ManagedProcess(spec, self.logs / f"{spec.name}.log")
        self._processes.append(process)
        await process.start()
        return process

    async def _gate(self, process: ManagedProcess, group: Sequence[ManagedProcess]) -> None:
        self.ready[process.name] = await process.ready(self._start_seconds)
        waiting = [other.name for other in group if other.name not in self.ready]
        self._told(f"{process.name} is ready" + (f", waiting for {', '.join(waiting)}" if waiting else ""))


def local_stack(
    actors_root: Path,
    logs: Path,
    *,
    port: int = 0,
    told: Callable[[str], None] = lambda line: None,
    settings: Mapping[str, str] = MappingProxyType({}),
    load_at_start: str = "none",
    page_port: int | None = None,
) -> LocalStack:
    """The real stack: pose, normalize, face, generator (agent and Triton), and the orchestrator in front of them.

    port: of the orchestrator; 0 for a free one. settings: more environment variables for all processes.
    load_at_start: actors to load before the generator counts as ready, as in `GENERATOR_LOAD_AT_START`. page_port: of
    the gateway with the page, 0 for a free one; None for no page. Raises StackFailed at once if a port is in use.
    """
    check_port_free(port)
    if page_port is not None:
        check_port_free(page_port, option="--web-port")
    root = str(actors_root.resolve())

    def orchestrator(ready: Mapping[str, Ready]) -> ProcessSpec:
        names = {"POSE": "pose", "NORMALIZE": "normalize", "FACE": "face", "AGENT": "generator"}
        addresses = {
            f"ORCHESTRATOR_{key}_ADDRESS": f"{HOST}:{ready[name].ports['port']}" for key, name in names.items()
        }
        addresses["ORCHESTRATOR_TRITON_ADDRESS"] = ready["generator"].addresses["triton_address"]
        own = {"ORCHESTRATOR_PORT": str(port), "ORCHESTRATOR_ACTORS_ROOT": root}
        return _process("orchestrator", "orchestrator", {**_own(settings, "ORCHESTRATOR_"), **own, **addresses})

    generator = {
        "GENERATOR_ACTORS_ROOT": root,
        "GENERATOR_TRITON_LOG": str(logs.resolve() / "triton.log"),
        "GENERATOR_LOAD_AT_START": load_at_start,
    }
    workers = (
        _process("pose", "services.pose", _own(settings, "POSE_")),
        _process("normalize", "services.normalize"),
        _process("face", "services.face", {"FACE_ACTORS_ROOT": root}),
        _process("generator", "services.generator", generator),
    )

    def page(ready: Mapping[str, Ready]) -> ProcessSpec:
        own = {"WEB_SERVER": f"{HOST}:{ready['orchestrator'].ports['port']}", "WEB_PORT": str(page_port)}
        return _process("web", "web", {**_own(settings, "WEB_"), **own})

    return LocalStack(workers, orchestrator, logs, page=None if page_port is None else page, told=told)


def page_alone(logs: Path, settings: Mapping[str, str], told: Callable[[str], None]) -> LocalStack:
    """The gateway with the page, in front of a server elsewhere. settings: its `WEB_*` variables."""
    return LocalStack((), lambda ready: _process("web", "web", settings), logs, told=told)


def _own(settings: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name: value for name, value in settings.items() if name.startswith(prefix)}


def check_port_free(port: int, option: str = "--port") -> None:
    """Raise StackFailed if `port` is in use or not allowed; 0 is always free."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise StackFailed(f"port {port} is in use or not allowed; choose another with {option}") from error


def _process(name: str, module: str, settings: Mapping[str, str] | None = None) -> ProcessSpec:
    # A local stack has one user, who is ending it: no client needs a long drain.
    environment = {f"{name.upper()}_DRAIN_SECONDS": _DRAIN_SECONDS, **(settings or {})}
    # -P: a folder named "services" in the current folder must not shadow ours.
    return ProcessSpec(name, (sys.executable, "-P", "-m", module), environment)
