"""Start and stop Triton, from the nvidia-pytriton wheel, as a plain process without a container.

Stopping removes its folder of links, its shared memory and its child processes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
from asyncio.subprocess import Process
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Self

import grpc
import psutil
from grpc import StatusCode
from tritonclient.utils import InferenceServerException

from services.generator.triton.access_key import fenced, fresh_key, hide
from services.generator.triton.client import connected
from services.generator.triton.install import TritonInstall, joined, library_folder
from services.generator.triton.leftovers import SHARED_MEMORY, Regions
from services.generator.triton.plain_paths import Links
from serving.errors import BadSettings, DanceError
from serving.process import memory
from serving.process.parent_death import adopted
from serving.transport.tls import ChannelTls, ServerTls

_log = logging.getLogger(__name__)

_STUB_MEMORY_BYTES: Final = 4 * 2**20
_EXIT_MARGIN_SECONDS: Final = 1.0
_STARTS_ON_FREE_PORTS: Final = 3
_LOG_LINES_SHOWN: Final = 15
_OF_A_SOCKET: Final = 0
"""Triton appends a port to every address; for a socket file it becomes part of the name."""
_BACKENDS: Final = "backends"
_OF_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}


class TritonFailed(DanceError):
    """Triton did not start, or it ended; the message ends with the last lines of its log."""

    code = StatusCode.UNAVAILABLE
    retryable = True


@dataclass(frozen=True, kw_only=True, slots=True)
class TritonPorts:
    """Triton's ports; in settings, 0 takes a free one. Metrics are the only HTTP service."""

    grpc: int = 0
    metrics: int = 0


class TritonServer:
    """One Triton process. As an async context manager it answers once entered, and is stopped on exit.

    model_repository: its folder of models; none is loaded at the start (explicit control).
    log_path: its output is appended to this file.
    exit_seconds: how long requests in flight may take after SIGTERM.
    tls: the certificate of its gRPC service, read at each start. call_with: how clients connect to it then.
    socket: its gRPC service listens on this file instead of a port, so that only users who can enter the file's folder
    can connect. Not with tls. A plain path (`leftovers.is_plain`) of at most 105 bytes.

    `address` is where clients on this machine connect, `ports` are the actual ports. `repository_key` is the key for
    loading models, which is new at each start.
    """

    def __init__(
        self,
        model_repository: Path,
        log_path: Path,
        *,
        host: str = "127.0.0.1",
        ports: TritonPorts | None = None,
        start_seconds: float = 30.0,
        exit_seconds: int = 5,
        tls: ServerTls | None = None,
        call_with: ChannelTls | None = None,
        socket: Path | None = None,
    ) -> None:
        self.log_path = log_path
        self.host = host
        self.ports = self._wanted_ports = ports or TritonPorts()
        self._model_repository = model_repository
        self._start_seconds = start_seconds
        self._exit_seconds = exit_seconds
        self._tls = tls
        self._call_with = call_with
        self._socket = socket
        self.repository_key = ""
        self._regions: Regions | None = None
        self._process: Process | None = None
        self._links: Links | None = None

    @property
    def address(self) -> str:
        """The gRPC service's address on this machine: host and port, or `unix:` and the socket file."""
        if self._socket is not None:
            return f"unix:{self._socket}:{_OF_A_SOCKET}"
        return f"{_OF_EVERY_ADDRESS.get(self.host, self.host)}:{self.ports.grpc}"

    @property
    def pid(self) -> int | None:
        """The process id; None if it does not run."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def alive(self) -> bool:
        """Whether the process runs. It may still not answer over gRPC."""
        return self.pid is not None

    def drawing(self) -> set[tuple[str, int]]:
        """Return model and version of every live stub, a process that runs a model.py. Takes some milliseconds."""
        return {(model, version) for model, version, _ in self._stubs()}

    def lost_memory_bytes(self) -> int:
        """Return the shared memory that dead stubs hold. Once a request has hit one, Triton 2.51 never frees it."""
        regions = self._regions
        if regions is None:
            return 0
        living = {region for _, _, region in self._stubs()}
        return sum(size_bytes for name, size_bytes in regions.sizes_bytes().items() if name not in living)

    def _stubs(self) -> set[tuple[str, int, str]]:
        """Return model, version and name of the shared memory of every live stub."""
        stubs: set[tuple[str, int, str]] = set()
        if self.pid is None:
            return stubs
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children():
                with contextlib.suppress(psutil.Error):
                    arguments = child.cmdline()  # empty for a dead one that Triton has not reaped yet
                    model = Path(arguments[1]) if len(arguments) > 2 else Path()
                    if model.name == "model.py":
                        stubs.add((model.parent.parent.name, int(model.parent.name), arguments[2]))
        return stubs

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the process and wait until it answers over gRPC.

        A second start after `stop` takes the same ports. Raises TritonMissing, TritonFailed, and BadSettings if a
        requested port is in use.
        """
        if self._process is not None:
            raise RuntimeError("this Triton has already been started")
        install = await asyncio.to_thread(TritonInstall.find)
        all_wanted = 0 not in (self._wanted_ports.grpc, self._wanted_ports.metrics)
        attempts = 1 if all_wanted else _STARTS_ON_FREE_PORTS
        for attempt in range(1, attempts + 1):
            self.ports = _free_ports(self.host, self._wanted_ports)
            try:
                await self._start_once(install)
                break
            except TritonFailed as failure:
                await self.stop()
                # Another process may have taken the free port before Triton listened on it.
                if attempt == attempts or "Address already in use" not in str(failure):
                    raise
            except BaseException:
                await self.stop()
                raise
        self._wanted_ports = self.ports

    async def stop(self) -> None:
        """Stop the process, and kill it after `exit_seconds` and a margin. Removes its children and shared memory."""
        process, self._process = self._process, None
        try:
            if process is not None:
                await _end(process, self._exit_seconds + _EXIT_MARGIN_SECONDS)
        finally:
            if self._regions is not None:
                self._regions.remove()
                self._regions = None
            if self._links is not None:
                self._links.remove()
                self._links = None

    async def ended(self) -> None:
        """Wait until the process ends by itself; returns at once if it was never started."""
        if self._process is not None:
            await self._process.wait()

    def log_tail(self, lines: int = _LOG_LINES_SHOWN) -> str:
        """Return the last lines of the log, often the only place with the reason of a failure."""
        if not self.log_path.is_file():
            return ""
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-lines:])

    async def _start_once(self, install: TritonInstall) -> None:
        try:
            self._regions = regions = Regions()
        except OSError as error:
            raise TritonFailed(f"{SHARED_MEMORY}, where Triton keeps pictures, cannot be used: {error}") from error
        self.repository_key = fresh_key()
        self._links = links = Links()
        install.lay_out(links.folder / _BACKENDS)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = await self._spawn(install, links, regions, log)
        await self._answering(self._process)
        hide(self._process.pid, self.repository_key)
        _log.info("Triton answers at %s, process %d, log %s", self.address, self._process.pid, self.log_path)

    async def _spawn(self, install: TritonInstall, links: Links, regions: Regions, log: IO[bytes]) -> Process:
        host, ports = self.host, self.ports
        listening = (f"--grpc-address={host}", f"--grpc-port={ports.grpc}")
        if self._socket is not None:
            listening = (f"--grpc-address=unix:{self._socket}", f"--grpc-port={_OF_A_SOCKET}")
        arguments = [
            str(install.server),
            f"--model-repository={links.to(self._model_repository, 'models')}",
            f"--backend-directory={links.folder / _BACKENDS}",
            "--model-control-mode=explicit",
            "--disable-auto-complete-config",
            f"--exit-timeout-secs={self._exit_seconds}",
            *fenced(self.repository_key),
            *listening,
            *(f"--metrics-address={host}", f"--metrics-port={ports.metrics}"),
            *([] if self._tls is None else _tls_arguments(self._tls, links)),
            "--allow-gpu-metrics=false",
            "--metrics-config=summary_latencies=true",
            "--pinned-memory-pool-byte-size=0",
            "--log-format=ISO8601",
            f"--backend-config=python,shm-default-byte-size={_STUB_MEMORY_BYTES}",
            f"--backend-config=python,shm-region-prefix-name={regions.prefix}",
        ]
        libraries = library_folder()
        environment = {
            # `links.python` already contains the paths of these two, which would take precedence over it.
            **{name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")},
            # The stub runs the first interpreter on PATH, which must have our packages.
            "PATH": f"{links.python()}:{os.environ.get('PATH', os.defpath)}",
            "LD_LIBRARY_PATH": joined(
                libraries and links.to(Path(libraries), "lib"),
                links.to(install.stub_libraries, "stub-lib"),
                os.environ.get("LD_LIBRARY_PATH"),
            ),
            # Threads that spin while waiting would take CPU time from the other stages.
            "OMP_WAIT_POLICY": "PASSIVE",
            # A single heap for Triton's hundred threads, which reuses the pages of freed requests. By default they keep
            # freed memory in many separate heaps.
            **memory.IN_ENVIRONMENT,
        }
        return await asyncio.create_subprocess_exec(
            *adopted(*arguments, no_zombies=True),  # Triton 2.51 does not reap stubs that a request found dead
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            # A session of its own, so that Ctrl-C in a terminal reaches only us; we then stop Triton gracefully.
            start_new_session=True,
            umask=0o077,  # does not apply to its shared memory: see services.generator.model
        )

    async def _answering(self, process: Process) -> None:
        ended = asyncio.create_task(process.wait())
        client = connected(self.address, self._call_with)
        try:
            async with asyncio.timeout(self._start_seconds):
                while not ended.done():
                    with contextlib.suppress(InferenceServerException, grpc.RpcError):
                        if await client.is_server_ready(client_timeout=1.0):
                            return
                    await asyncio.wait([ended], timeout=0.05)
        except TimeoutError:
            reason = f"did not answer within {self._start_seconds:g} s"
        else:
            reason = f"ended during its start with exit code {ended.result()}"
        finally:
            ended.cancel()
            await client.close()
        raise TritonFailed(
            f"Triton {reason}, with the models of {self._model_repository}; "
            f"the end of {self.log_path}:\n{self.log_tail()}"
        )


def _tls_arguments(tls: ServerTls, links: Links) -> list[str]:
    certificate, key = links.to(tls.certificate, "tls", "certificate"), links.to(tls.key, "tls", "key")
    own = [f"--grpc-server-cert={certificate}", f"--grpc-server-key={key}"]
    if tls.client_ca is None:
        return ["--grpc-use-ssl=true", *own]
    return ["--grpc-use-ssl-mutual=true", *own, f"--grpc-root-cert={links.to(tls.client_ca, 'tls', 'ca')}"]


def _free_ports(host: str, wanted: TritonPorts) -> TritonPorts:
    """Return the wanted ports, with free ones for 0. Raises BadSettings if a wanted port is in use."""
    with contextlib.ExitStack() as stack:  # holds all ports until all are chosen, so that no two are equal

        def chosen(name: str, port: int) -> int:
            probe = stack.enter_context(socket.socket())
            if port:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                where = f"{host}:{port}"
                raise BadSettings(f"triton_{name}_port", f"cannot listen on {where}; is it in use?") from error
            return int(probe.getsockname()[1])

        return TritonPorts(grpc=chosen("grpc", wanted.grpc), metrics=chosen("metrics", wanted.metrics))


async def _end(process: Process, within_seconds: float) -> None:
    try:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            async with asyncio.timeout(within_seconds):
                await process.wait()
    except TimeoutError:
        _log.warning("Triton did not exit within %g s of SIGTERM; killing it", within_seconds)
    finally:
        # Its children share its process group, which no longer exists after a clean exit.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
