"""Optional traces: a span per session, below it one for every n-th frame, and below that one per stage.

    session ─┬─ frame 0 ─┬─ pose, normalize, label_map, reference, generator, face, encode   timed by the orchestrator
             │           └─ /dance.v1.FaceService/Refine                                     timed by the stage itself
             ├─ frame 25 ...
             └─ /dance.v1.PoseService/Estimate: a stream, as long as the session

Traces are off unless `start` is called: OpenTelemetry is then never imported, and each function here returns after one
comparison. Spans carry the session's id, which metrics must not.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from serving.errors import BadSettings
from serving.observability import logs
from serving.transport.addresses import hosts_of
from serving.transport.proxies import EXEMPTING_VARIABLES
from serving.transport.tls import is_loopback

_TRACEPARENT: Final = "traceparent"
_LARGEST_WHOLE: Final = (1 << 63) - 1
_EXPORT_SECONDS: Final = 2
_SHUTDOWN_SECONDS: Final = 3.0
"""An unreachable collector must not delay the end of a process."""


@dataclass(frozen=True)
class _Active:
    tracer: Any
    api: Any
    propagator: Any


_active: _Active | None = None
# We do not use OpenTelemetry's current span, which must be detached in the task that attached it.
_CALL: Final[ContextVar[Any]] = ContextVar("call span", default=None)
_SESSION: Final[ContextVar[SessionTrace | None]] = ContextVar("session trace", default=None)
_FRAME: Final[ContextVar[FrameTrace | None]] = ContextVar("frame trace", default=None)


def start(endpoint: str, process: str, version: str) -> Callable[[], None]:
    """Export this process's spans to an OTLP collector; return a function that ends the export within 3 seconds.

    endpoint: the collector's gRPC port, host:port or http://host:port in plaintext, https://host:port with TLS. See
    `exempt_collector` for proxies. Raises BadSettings for any other endpoint, and if OpenTelemetry is not installed.
    """
    try:
        sdk = import_module("opentelemetry.sdk.trace")
        export = import_module("opentelemetry.sdk.trace.export")
        resources = import_module("opentelemetry.sdk.resources")
        otlp = import_module("opentelemetry.exporter.otlp.proto.grpc.trace_exporter")
    except ImportError as error:
        message = f"traces need the extra 'tracing' (in a checkout: pip install -e '.[tracing]'): {error}"
        raise BadSettings("traces_endpoint", message) from error
    resource = resources.Resource.create({"service.name": f"dance-{process}", "service.version": version})
    provider = sdk.TracerProvider(resource=resource, shutdown_on_exit=False)
    insecure = not endpoint.startswith("https://")
    exempt_collector(endpoint, os.environ)
    exporter = otlp.OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=_EXPORT_SECONDS)
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    uninstall = install(provider)

    def end() -> None:
        uninstall()
        # shutdown() blocks for as long as it tries to reach the collector.
        ending = threading.Thread(target=provider.shutdown, name="last traces", daemon=True)
        ending.start()
        ending.join(_SHUTDOWN_SECONDS)

    return end


def exempt_collector(endpoint: str, environment: MutableMapping[str, str]) -> None:
    """Exempt a collector on this machine, or within the stack, from the proxies in `environment`.

    The user's own exemptions stay, and for any other collector the user's variables apply. The exporter opens its
    channel itself and takes no options, so `no_grpc_proxy` is the only way to reach it. Raises BadSettings.
    """
    try:
        host = urlsplit(endpoint).hostname or ",".join(hosts_of(endpoint))
    except ValueError as error:
        raise BadSettings("traces_endpoint", f"expected HOST:PORT or a URL, got {endpoint!r}: {error}") from error
    if not host or not _within_stack(host):
        return
    exempt = next((environment[name] for name in EXEMPTING_VARIABLES if name in environment), "")
    if host not in exempt.split(","):
        environment["no_grpc_proxy"] = f"{exempt},{host}" if exempt else host


def _within_stack(host: str) -> bool:
    """Whether `host` is this machine, or a name that exists only in the stack's own network."""
    name = host.rstrip(".")
    in_cluster = name.endswith(".svc") or ".svc." in name
    return is_loopback(host) or in_cluster or not re.search("[.:,]", name)


def install(provider: Any) -> Callable[[], None]:
    """Start making spans with an OpenTelemetry `TracerProvider`; return a function that stops it."""
    global _active
    api = import_module("opentelemetry.trace")
    propagation = import_module("opentelemetry.trace.propagation.tracecontext")
    _active = _Active(provider.get_tracer("dance"), api, propagation.TraceContextTextMapPropagator())

    def uninstall() -> None:
        global _active
        _active = None

    return uninstall


def outgoing(*, whole_session: bool) -> tuple[tuple[str, str], ...]:
    """Return metadata that makes a called process's span a child of the current frame, else of the session.

    A call about a frame without a span carries nothing. whole_session: the call is about the session.
    """
    if _active is None:
        return ()
    session, frame = _SESSION.get(), _FRAME.get()
    if whole_session or logs.SEQUENCE.get() is None:
        span = None if session is None else session.span
    else:
        span = None if frame is None else frame.span
    if span is None:
        return ()
    carrier: dict[str, str] = {}
    _active.propagator.inject(carrier, context=_active.api.set_span_in_context(span))
    return tuple(carrier.items())


@contextmanager
def serving_call(method: str, carried: Mapping[str, Any]) -> Iterator[None]:
    """Make a span for a call, if its metadata `carried` is part of a trace and traces are on."""
    if _active is None or _TRACEPARENT not in carried:
        yield
        return
    parent = _active.propagator.extract({_TRACEPARENT: str(carried[_TRACEPARENT])})
    attributes = {"rpc.system": "grpc", **_session_attributes()}
    span = _active.tracer.start_span(method, parent, kind=_active.api.SpanKind.SERVER, attributes=attributes)
    _CALL.set(span)
    try:
        yield
    except BaseException as error:
        _fail(_active.api, span, error)
        raise
    finally:
        span.end()


class SessionTrace:
    """The span of one session, and of its frames in flight."""

    def __init__(self, active: _Active, kind: str, every_n_frames: int) -> None:
        self._active = active
        self._every_n_frames = every_n_frames
        self.frames: dict[int, FrameTrace] = {}
        call = _CALL.get()
        parent = None if call is None else active.api.set_span_in_context(call)
        attributes = {"dance.kind": kind, **_session_attributes()}
        self.span = active.tracer.start_span("session", parent, kind=active.api.SpanKind.SERVER, attributes=attributes)

    def annotate(self, **named: Any) -> None:
        """Add attributes to the session's span; None is left out."""
        for name, value in named.items():
            if value is not None:
                self.span.set_attribute(f"dance.{name}", _attribute(value))

    def begin_frame(self, sequence: int) -> FrameTrace | None:
        """Return the trace of a frame that has just arrived, or None if it is not one of the n-th."""
        if sequence % self._every_n_frames:
            return None
        self.frames[sequence] = FrameTrace(self._active, self, sequence)
        return self.frames[sequence]

    def end(self, error: BaseException | None) -> None:
        """End the session's span, and those of frames that were never answered."""
        for frame in list(self.frames.values()):
            frame.end("unanswered")
        if error is not None:
            _fail(self._active.api, self.span, error)
        self.span.end()


class FrameTrace:
    """The span of one frame, from its arrival to its answer."""

    def __init__(self, active: _Active, session: SessionTrace, sequence: int) -> None:
        self._active = active
        self._session = session
        self._sequence = sequence
        parent = active.api.set_span_in_context(session.span)
        self.span = active.tracer.start_span("frame", parent, attributes={"dance.sequence": _attribute(sequence)})

    def stage(self, name: str, started_s: float, compute_seconds: float, queue_seconds: float) -> None:
        """Add a stage's span, which ends now. started_s: on `time.perf_counter`."""
        now_ns = time.time_ns()
        began_ns = now_ns - round((time.perf_counter() - started_s) * 1e9)
        context = self._active.api.set_span_in_context(self.span)
        attributes = {"dance.compute_seconds": compute_seconds, "dance.queue_seconds": queue_seconds}
        self._active.tracer.start_span(name, context, start_time=began_ns, attributes=attributes).end(now_ns)

    def end(self, result: str) -> None:
        """End the span of an answered frame. result: as in `dance_frames_total`."""
        self._session.frames.pop(self._sequence, None)
        self.span.set_attribute("dance.result", result)
        self.span.end()


def begin_session(kind: str, every_n_frames: int) -> SessionTrace | None:
    """Begin the trace of a session, for this task and the tasks it creates; None if traces are off."""
    if _active is None:
        return None
    trace = SessionTrace(_active, kind, every_n_frames)
    _SESSION.set(trace)
    return trace


def begin_frame(sequence: int) -> FrameTrace | None:
    """Begin the trace of a frame of the current session; None if it has none."""
    if _active is None:
        return None
    session = _SESSION.get()
    return None if session is None else session.begin_frame(sequence)


def enter_frame(frame: FrameTrace | None) -> None:
    """Make this the current frame of later calls."""
    if _active is not None:
        _FRAME.set(frame)


def note(event: str, **named: Any) -> None:
    """Record an event, such as a retry, for the current frame, else for the session."""
    if _active is None:
        return
    trace = _FRAME.get() or _SESSION.get()
    if trace is not None:
        trace.span.add_event(event, {name: _attribute(value) for name, value in named.items() if value is not None})


def _attribute(value: Any) -> Any:
    """Return the value as an attribute: integers have 63 bits there, and frame numbers have 64."""
    return str(value) if isinstance(value, int) and value > _LARGEST_WHOLE else value


def _session_attributes() -> dict[str, str]:
    session = logs.SESSION.get()
    return {"dance.session": session} if session else {}


def _fail(api: Any, span: Any, error: BaseException) -> None:
    span.set_status(api.Status(api.StatusCode.ERROR, f"{type(error).__name__}: {error}"))
