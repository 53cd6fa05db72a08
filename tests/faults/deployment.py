"""A whole chain of real processes; each can be killed and restarted at the same address."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Self

import psutil

from client.local_stack.processes import ManagedProcess, ProcessSpec, Ready

HOST = "127.0.0.1"
START_SECONDS = 60.0
END_SECONDS = 20.0
MODULES = {
    "pose": "services.pose",
    "normalize": "services.normalize",
    "face": "services.face",
    "generator": "services.generator",
    "orchestrator": "orchestrator",
}


SECOND = "-2"
Inside = Callable[[Mapping[str, str]], tuple[str, ...]]
_PORTS: Final = range(20_000, 32_000)


class Deployment:
    """Five processes and a Triton on free ports. Entering starts them; leaving always stops them.

    Kubernetes restarts a dead process under the same name: `kill` followed by `start` does the same.

    replicas: 2 makes two of each; the second has "-2" after its name. inside: turns a command and its environment into
    the command that runs it in a container, by the process's name.
    """

    def __init__(
        self,
        folder: Path,
        actors_root: Path,
        *,
        replicas: int = 1,
        inside: Mapping[str, Inside] | None = None,
        **settings: str,
    ) -> None:
        self._folder = folder
        self._inside = inside or {}
        self._behind = ("", SECOND)[:replicas]
        self.names = [f"{name}{behind}" for behind in self._behind for name in MODULES]
        ports = [f"{name}{kind}" for name in self.names for kind in ("", "_health", "_metrics")]
        ports += [f"{name}{behind}" for name in ("triton", "tm") for behind in self._behind]
        self.ports = dict(zip(ports, free_ports(len(ports)), strict=True))
        key = folder / "checkpoint.keys"
        key.write_text(secrets.token_hex(32) + "\n")
        root = str(actors_root)
        self._environment: dict[str, dict[str, str]] = {
            "pose": {},
            "normalize": {},
            "face": {"FACE_ACTORS_ROOT": root, "FACE_PRECISION": "f32"},
            "generator": {
                "GENERATOR_ACTORS_ROOT": root,
                "GENERATOR_PRECISION": "f32",
                "GENERATOR_TRITON_EXIT_SECONDS": "1",
                # Each Triton must be able to draw for any orchestrator.
                **({"GENERATOR_LOAD_AT_START": "all"} if replicas > 1 else {}),
            },
            "orchestrator": {
                "ORCHESTRATOR_ACTORS_ROOT": root,
                "ORCHESTRATOR_POSE_ADDRESS": self.address_of("pose"),
                "ORCHESTRATOR_NORMALIZE_ADDRESS": self.address_of("normalize"),
                "ORCHESTRATOR_FACE_ADDRESS": self.address_of("face"),
                "ORCHESTRATOR_AGENT_ADDRESS": self.address_of("generator"),
                "ORCHESTRATOR_TRITON_ADDRESS": self.address_of("triton"),
                "ORCHESTRATOR_CHECKPOINT_KEY_FILE": str(key),
                # A busy machine may take long to start a process.
                "ORCHESTRATOR_AWAY_SECONDS": "60",
            },
        }
        for variable, value in settings.items():
            self._environment[variable.split("_")[0].lower()][variable] = value
        self._running: dict[str, ManagedProcess] = {}
        self._starts = 0

    @property
    def address(self) -> str:
        """The orchestrator's address."""
        return self.address_of("orchestrator")

    def address_of(self, name: str) -> str:
        """The addresses of all replicas of a service."""
        addresses = [f"{HOST}:{self.ports[name + behind]}" for behind in self._behind]
        return addresses[0] if len(addresses) == 1 else f"ipv4:{','.join(addresses)}"

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.TaskGroup() as group:
                for name in self.names:
                    group.create_task(self.start(name))
        except BaseException:
            await self.end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.end()

    async def start(self, name: str) -> Ready:
        """Start the process at its own ports, and wait until it serves."""
        service, ports = name.removesuffix(SECOND), self.ports
        prefix, behind = service.upper(), name.removeprefix(service)
        own = {
            f"{prefix}_PORT": str(ports[name]),
            f"{prefix}_HEALTH_PORT": str(ports[f"{name}_health"]),
            f"{prefix}_METRICS_PORT": str(ports[f"{name}_metrics"]),
            f"{prefix}_DRAIN_SECONDS": "5",
        }
        if service == "generator":
            triton = {"GRPC": "triton", "METRICS": "tm"}
            own |= {f"{prefix}_TRITON_{kind}_PORT": str(ports[port + behind]) for kind, port in triton.items()}
        environment = {**own, **self._environment[service]}
        command: tuple[str, ...] = (sys.executable, "-m", MODULES[service])
        if name in self._inside:
            command = self._inside[name](environment)
        spec = ProcessSpec(name, command, environment)
        self._starts += 1
        process = ManagedProcess(spec, self._folder / f"{name}.{self._starts}.log")
        self._running[name] = process
        await process.start()
        return await process.ready(START_SECONDS)

    async def kill(self, name: str) -> None:
        """kill -9 of a process, of "stub" (the actor's stub in Triton), or of "triton"."""
        async with asyncio.timeout(START_SECONDS):
            while not (victims := self.victims(name)):  # noqa: ASYNC110 - on its way back
                await asyncio.sleep(0.01)
        for victim in victims:
            victim.send_signal(signal.SIGKILL)
        if name in self._running:
            process = self._running.pop(name)
            await process.died()
            process.kill()  # also kill its children: Kubernetes ends all processes of a pod

    def victims(self, name: str) -> list[psutil.Process]:
        """Return the processes of a part."""
        if name in self._running:
            return [psutil.Process(self._running[name].pid)]
        found = []
        for member in psutil.Process(self._running["generator"].pid).children(recursive=True):
            with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):
                is_stub = "triton_python_backend_stub" in " ".join(member.cmdline())
                if is_stub == (name == "stub"):
                    found.append(member)
        return found

    async def heal(self, name: str) -> None:
        """Recover a dead part as Kubernetes would, or, for Triton and its stubs, the agent."""
        if name in MODULES:
            await self.start(name)

    def terminate(self, name: str) -> None:
        """Send SIGTERM."""
        os.kill(self._running[name].pid, signal.SIGTERM)

    async def exit_code(self, name: str) -> int:
        """Wait for a process to end by itself; return its exit code, negative for a signal."""
        process = self._running.pop(name)
        async with asyncio.timeout(START_SECONDS):
            return await process.exit_code()

    def log(self, name: str) -> str:
        """The pid of the process that currently runs under this name."""
        return self._running[name].log.read_text(errors="replace")

    def rss_bytes(self, name: str) -> int:
        """The memory of a process."""
        return int(psutil.Process(self._running[name].pid).memory_info().rss)

    async def end(self) -> None:
        """Stop all processes, the orchestrator first."""
        for name in reversed(self.names):
            process = self._running.pop(name, None)
            if process is not None:
                with contextlib.suppress(RuntimeError):
                    await process.end(END_SECONDS)
                process.kill()


def free_ports(count: int) -> list[int]:
    """Return unused ports; all are held until all are known, so that no two are the same.

    They lie below those that the system gives to connections and to servers on port 0: one of these could take a port
    before the process that it was chosen for listens.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        while len(found) < count:
            port = secrets.choice(_PORTS)
            with contextlib.suppress(OSError):
                stack.enter_context(socket.socket()).bind((HOST, port))
                found.append(port)
        return found
