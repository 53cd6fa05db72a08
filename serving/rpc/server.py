"""How every server process starts, reports that it is ready, drains and ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from prometheus_client import start_http_server

from serving.errors import BadSettings, DanceError
from serving.observability import logs, metrics, tracing
from serving.process.background import in_background
from serving.process.memory import freeze_existing_objects
from serving.process.settings import NOT_NEGATIVE, Port, check, from_environment
from serving.rpc.authentication import IdentityInterceptor, TokenCheck
from serving.rpc.call_context import ContextInterceptor
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.health import Health
from serving.transport.tls import ServerTls, is_loopback, server_credentials, server_tls

_log = logging.getLogger(__name__)

VERSION: Final = "0.2.0"
MESSAGE_LIMIT_BYTES: Final = 16 * 2**20
SERVER_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # A client that pings every 30 s must not get too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # With port sharing, a second server on the same port would start and receive half of the calls.
    ("grpc.so_reuseport", 0),
)
_SAME_SIGNAL_SECONDS: Final = 1.0
"""When a process is killed, Linux may signal its children several times at once, for each of its threads."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings of every process. Port 0 takes a free one, which the ready line names."""

    host: str = "127.0.0.1"
    port: Port = 0
    health_port: Port = 0
    metrics_port: Port = 0
    drain_seconds: Annotated[float, NOT_NEGATIVE] = 20.0
    """How long running calls may continue after SIGTERM."""
    drain_delay_seconds: Annotated[float, NOT_NEGATIVE] = 0.0
    """How long new calls are still served after SIGTERM, while health is NOT_SERVING: Kubernetes needs some seconds to
    tell all callers that a pod is leaving."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """DEBUG, INFO, WARNING or ERROR."""
    tls_certificate: Path | None = None
    """PEM, followed by the intermediate certificates. Read again when it changes; running calls continue."""
    tls_key: Path | None = None
    """PEM, not encrypted."""
    tls_client_ca: Path | None = None
    """Callers must present a certificate signed by one of these. None: they need none."""
    insecure: bool = False
    """Accept calls in plaintext from other machines. Health and metrics are always plaintext."""
    log_format: logs.LogFormat = "text"
    """"text" for people, who start a process by hand or read the files of `dance up`; "json", one object per line, for
    log collectors."""
    max_connection_age_seconds: Annotated[float, NOT_NEGATIVE] = 0.0
    """Replace connections older than this, so that callers find new replicas; running calls continue. 0: never. For
    stages that have a headless Service."""
    traces_endpoint: str = ""
    """The gRPC port of an OTLP collector, host:port or URL; empty for no traces. Needs the extra "tracing"."""

    def __post_init__(self) -> None:
        check(self)
        if self.tls() is None and not self.insecure and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} can be reached from other machines: that needs tls_certificate and tls_key, "
                "or insecure=true"
            )

    def server_options(self) -> tuple[tuple[str, int], ...]:
        """Return the gRPC options of the server for calls."""
        if self.max_connection_age_seconds == 0:
            return SERVER_OPTIONS
        return (*SERVER_OPTIONS, ("grpc.max_connection_age_ms", max(1, round(1000 * self.max_connection_age_seconds))))

    def tls(self) -> ServerTls | None:
        """Return the server's certificate and key; None for plaintext. Raises ValueError if one of them is missing."""
        return server_tls(self.tls_certificate, self.tls_key, self.tls_client_ca)


SettingsT = TypeVar("SettingsT", bound=ServerSettings)


class Listener(Protocol):
    """Accepts a process's calls at `port`, which is bound when it is made."""

    port: int

    async def start(self) -> None:
        """Serve calls."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Refuse new calls, give the running ones `grace_seconds`, then cancel them. Also if it was never started."""
        ...


class Service:
    """What a process serves: the base class of the servicers.

    name: the process's name, for people, such as "pose". full_names: the gRPC services, for reflection, such as
    "dance.v1.PoseService". token_check: checks the callers' tokens; None if they need none.
    """

    name: str
    full_names: tuple[str, ...]
    token_check: TokenCheck | None = None

    def register(self, server: grpc.aio.Server) -> None:
        """Add the servicers to the server."""
        raise NotImplementedError

    def listener(self, settings: ServerSettings) -> Listener:
        """Bind the port for calls: gRPC with `register`, unless a subclass serves another protocol."""
        return _GrpcListener(self, settings)

    async def warm_up(self) -> None:
        """Process a first frame, so that the first caller does not wait for caches and compilers."""

    @property
    def ready_at_start(self) -> bool:
        """Whether the service can serve when `warm_up` has ended. If not, health waits for `keep_health`."""
        return True

    async def keep_health(self, health: Health) -> None:
        """Run while the server serves, and report SERVING or NOT_SERVING whenever a dependency breaks or recovers."""

    def ready_facts(self) -> Mapping[str, str | int]:
        """Return more fields for the ready line, such as another port."""
        return {}

    async def drain(self) -> None:
        """Ask long calls to end, and refuse new ones. Does not wait for them."""

    async def close(self) -> None:
        """Release what the service started. Called once, after the last call has ended."""


@dataclass(frozen=True)
class RunningServer:
    """A server that serves: the ports it listens on, and its health."""

    port: int
    health_port: int
    metrics_port: int
    health: Health


@asynccontextmanager
async def running(service: Service, settings: ServerSettings) -> AsyncIterator[RunningServer]:
    """Serve `service` while the context lasts, then drain it:

    1. `keep_health` ends, and health becomes NOT_SERVING.
    2. New calls are still served for `drain_delay_seconds`, until all callers have seen that.
    3. `Service.drain` tells long calls to end.
    4. New calls are refused; running ones get `drain_seconds` to end, and are then cancelled.
    5. Health and metrics ports close, traces are sent, and `Service.close` releases the rest.

    The body begins after the warm-up, when health is SERVING; without `ready_at_start` it may still be NOT_SERVING.
    Raises BadSettings for a port that is in use.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.close)
        if settings.traces_endpoint:
            end_traces = tracing.start(settings.traces_endpoint, service.name, VERSION)
            stack.push_async_callback(asyncio.to_thread, end_traces)
        own_health = Health(service.full_names)
        await own_health.begin()
        health_server = grpc.aio.server(options=SERVER_OPTIONS)
        health_pb2_grpc.add_HealthServicer_to_server(own_health.servicer, health_server)
        health_port = _bound(health_server, settings.host, settings.health_port, "health_port")
        listener = service.listener(settings)
        metrics_port = _start_metrics(stack, settings)
        metrics.BUILD_INFO.info({"version": VERSION, "service": service.name})
        await health_server.start()
        stack.push_async_callback(health_server.stop, 0.5)
        await service.warm_up()
        await listener.start()
        stack.push_async_callback(listener.stop, settings.drain_seconds)
        stack.push_async_callback(service.drain)
        stack.push_async_callback(asyncio.sleep, settings.drain_delay_seconds)
        await stack.enter_async_context(in_background(metrics.watch_event_loop(), "event loop lag"))
        await own_health.set(service.ready_at_start)
        stack.push_async_callback(own_health.set, False)
        await stack.enter_async_context(in_background(service.keep_health(own_health), "health"))
        yield RunningServer(listener.port, health_port, metrics_port, own_health)


def run_service(
    service_type: Callable[[SettingsT], Service],
    settings_type: type[SettingsT],
    prefix: str,
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """The body of every `__main__.py`: read the settings `PREFIX*`, serve until SIGTERM or SIGINT, exit.

    Prints one line when ready: `ready name=pose port=... health_port=... metrics_port=...`. A bad setting ends the
    process with one line on stderr and exit code 2, any other DanceError with exit code 1. A second signal, at least a
    second after the first, ends the process at once.

    loop_factory: makes the event loop; None for asyncio's own.
    """
    try:
        settings = from_environment(settings_type, prefix)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve_until_signal(lambda: service_type(settings), settings))
    except DanceError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2 if isinstance(error, BadSettings) else 1) from error


async def _serve_until_signal(make_service: Callable[[], Service], settings: ServerSettings) -> None:
    loop = asyncio.get_running_loop()
    asked_to_end = asyncio.Event()
    first_at_s = 0.0

    def on_signal() -> None:
        nonlocal first_at_s
        if not asked_to_end.is_set():
            first_at_s = loop.time()
            asked_to_end.set()
        elif loop.time() - first_at_s > _SAME_SIGNAL_SECONDS:
            os._exit(1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    service = make_service()
    logs.configure(settings.log_level, settings.log_format)
    async with running(service, settings) as server:
        freeze_existing_objects()
        facts: dict[str, Any] = {
            "name": service.name,
            "port": server.port,
            "health_port": server.health_port,
            "metrics_port": server.metrics_port,
            **service.ready_facts(),
        }
        print("ready " + " ".join(f"{key}={value}" for key, value in facts.items()), flush=True)
        _log.info("serving", extra=logs.facts(**{"service" if key == "name" else key: facts[key] for key in facts}))
        await asked_to_end.wait()
        _log.info("draining", extra=logs.facts(drain_seconds=settings.drain_seconds))
    _log.info("ended")


class _GrpcListener:
    """The gRPC server for calls."""

    def __init__(self, service: Service, settings: ServerSettings) -> None:
        self._server = grpc.aio.server(interceptors=_interceptors(service), options=settings.server_options())
        service.register(self._server)
        if _reflects(service, settings):
            reflection.enable_server_reflection((*service.full_names, reflection.SERVICE_NAME), self._server)
        tls = settings.tls()
        credentials = None if tls is None else server_credentials(tls)
        self.port = _bound(self._server, settings.host, settings.port, "port", credentials)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, grace_seconds: float) -> None:
        await self._server.stop(grace_seconds)


def _interceptors(service: Service) -> list[grpc.aio.ServerInterceptor]:
    identity = [IdentityInterceptor(service.token_check)] if service.token_check else []
    return [ErrorInterceptor(), ContextInterceptor(), *identity]


def _reflects(service: Service, settings: ServerSettings) -> bool:
    """Whether reflection is served: only to callers on this machine and to authenticated ones."""
    return is_loopback(settings.host) or service.token_check is not None or settings.tls_client_ca is not None


def _bound(
    server: grpc.aio.Server, host: str, port: int, field: str, credentials: grpc.ServerCredentials | None = None
) -> int:
    address = f"{host}:{port}"
    try:
        bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError as error:
        raise BadSettings(field, f"cannot listen on {address}; is it in use?") from error
    return int(bound)


def _start_metrics(stack: AsyncExitStack, settings: ServerSettings) -> int:
    try:
        server, thread = start_http_server(settings.metrics_port, settings.host)
    except OSError as error:
        where = f"{settings.host}:{settings.metrics_port}"
        raise BadSettings("metrics_port", f"cannot listen on {where}; is it in use?") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    stack.callback(stop)
    return int(server.server_port)
