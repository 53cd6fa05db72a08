"""Spans of a session, if tracing is on. Needs the extra "tracing"."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
from dance.v1 import normalize_pb2, normalize_pb2_grpc

from services.normalize.servicer import NormalizeService
from services.normalize.settings import NormalizeSettings
from serving.errors import BadSettings
from serving.observability import tracing
from serving.rpc.channels import open_channel
from serving.rpc.server import VERSION, running
from tests.pipeline.chain import Dancing, Stack, configured, dance, raw_frame, stack_of
from tests.pipeline.test_logs import Told, overheard

pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra tracing: opentelemetry-sdk")

STAGES = {"pose", "normalize", "label_map", "generator", "face", "encode"}


@pytest.fixture
def spans() -> Iterator[Any]:
    """Keeps every span that ends in this process."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    uninstall = tracing.install(provider)
    yield exporter
    uninstall()
    provider.shutdown()


def children(spans: Any, parent: Any) -> list[Any]:
    """The ended children of a span."""
    ended = spans.get_finished_spans()
    return [span for span in ended if span.parent is not None and span.parent.span_id == parent.context.span_id]


def named(spans: Any, name: str) -> list[Any]:
    """The ended spans with this name."""
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_numbers_of_64_bits_are_written_as_text(stack: Stack, spans: Any):
    """A frame's number may have 64 bits, an attribute has 63: with more, an exporter logs a traceback for each span."""
    first, last = raw_frame(2**63 - 2), raw_frame(2**64 - 1)
    for second, request in enumerate((first, last)):
        request.frame.captured_at.seconds = second
    async with stack_of(stack.actors_root, **_addresses(stack), traces_every_n_frames=1) as chain:
        await dance(chain.stub, configured(frame_rate_hz=0.0), first, last)
    assert [frame.attributes["dance.sequence"] for frame in named(spans, "frame")] == [2**63 - 2, str(2**64 - 1)]


async def test_a_session_has_frames_and_frames_have_stages(stack: Stack, spans: Any):
    """The session has one span, every second frame a child of it, and each stage a child of that, within its time."""
    async with stack_of(stack.actors_root, **_addresses(stack), traces_every_n_frames=2) as chain:
        await dance(chain.stub, configured(), *(raw_frame(t) for t in range(5)))
    (session,) = named(spans, "session")
    assert session.parent is None
    assert session.attributes["dance.actor"] == "anna"
    assert session.attributes["dance.reason"] == "finished"
    assert session.attributes["dance.frames"] == 5
    frames = children(spans, session)
    assert [frame.attributes["dance.sequence"] for frame in frames] == [0, 2, 4]
    for frame in frames:
        assert frame.attributes["dance.result"] == "picture"
        stages = children(spans, frame)
        assert {span.name for span in stages} == STAGES
        assert len(stages) == len(STAGES)
        for span in stages:
            # Both ends of a stage's span come from another clock than the frame's.
            assert frame.start_time - 2e6 <= span.start_time <= span.end_time <= frame.end_time + 2e6


async def test_stages_go_on_with_the_trace(stack: Stack, spans: Any):
    """A stage's stream is a child of the session, its unary calls of their frame; others have no parent."""
    async with (
        overheard(Told()) as addresses,
        stack_of(stack.actors_root, **addresses, traces_every_n_frames=2) as chain,
    ):
        await dance(chain.stub, configured(), *(raw_frame(t) for t in range(3)))
    (session,) = named(spans, "session")
    frames = named(spans, "frame")
    for method in ("/dance.v1.PoseService/Estimate", "/dance.v1.NormalizeService/Normalize"):
        (stream,) = named(spans, method)
        assert stream.parent.span_id == session.context.span_id
    for method in ("/dance.v1.FaceService/Refine", "/inference.GRPCInferenceService/ModelInfer"):
        calls = named(spans, method)
        assert [call.parent.span_id for call in calls] == [frame.context.span_id for frame in frames]
    assert {span.context.trace_id for span in spans.get_finished_spans()} == {session.context.trace_id}


async def test_a_failure_is_seen_in_the_trace(stack: Stack, spans: Any):
    """A session whose stage failed has an error that names it, and unanswered frames still have spans."""
    stack.triton.dies_at = 1
    async with stack_of(stack.actors_root, **_addresses(stack), traces_every_n_frames=1) as chain:
        dancing = Dancing(chain.stub)
        await dancing.send(configured(), raw_frame(0), raw_frame(1))
        await dancing.failure()
    (session,) = named(spans, "session")
    assert not session.status.is_ok
    assert "stage generator failed at frame 1" in session.status.description
    assert (session.attributes["dance.stage"], session.attributes["dance.sequence"]) == ("generator", 1)
    assert [frame.attributes["dance.result"] for frame in named(spans, "frame")] == ["picture", "unanswered"]


async def test_a_stage_call_that_fails_is_seen_in_the_trace(spans: Any):
    """The span of the call has the error that ended it."""
    settings = NormalizeSettings()
    async with (
        running(NormalizeService(settings), settings) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        parent = (("traceparent", f"00-{'1' * 32}-{'2' * 16}-01"),)
        call = normalize_pb2_grpc.NormalizeServiceStub(channel).Normalize(metadata=parent)
        await call.write(normalize_pb2.NormalizeRequest(pose_frame=normalize_pb2.PoseFrame()))
        with pytest.raises(grpc.aio.AioRpcError, match="must be the first request"):
            await call.read()
    (span,) = named(spans, "/dance.v1.NormalizeService/Normalize")
    assert not span.status.is_ok
    assert "must be the first request" in span.status.description


async def test_a_repeated_attempt_is_an_event_of_its_frame(stack: Stack, spans: Any):
    """A retry is an event in the frame's span, with the stage's name and the reason."""
    stack.triton.unloaded[0] = (grpc.StatusCode.NOT_FOUND, "unknown model")
    async with stack_of(stack.actors_root, **_addresses(stack), traces_every_n_frames=1) as chain:
        await dance(chain.stub, configured(), raw_frame(0))
    (frame,) = named(spans, "frame")
    (event,) = frame.events
    assert (event.name, event.attributes["stage"]) == ("retry", "generator")


@contextmanager
def collector(received: queue.Queue[Any], go_on: threading.Event) -> Iterator[str]:
    """An OTLP collector, which answers once `go_on` is set; yields its address."""
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    class Collector:
        def Export(self, request, context):  # noqa: N802
            received.put(request)
            go_on.wait(10)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


def test_spans_reach_a_collector():
    """`traces_endpoint` sends spans to an OTLP collector, with the process's name, including the last ones at exit."""
    received: queue.Queue[Any] = queue.Queue()
    go_on = threading.Event()
    go_on.set()
    with collector(received, go_on) as address:
        end = tracing.start(address, "orchestrator", VERSION)
        trace = tracing.begin_session("transfer", 1)
        assert trace is not None
        trace.end(None)
        end()
    resource_spans = received.get(timeout=60).resource_spans[0]
    facts = {fact.key: fact.value.string_value for fact in resource_spans.resource.attributes}
    assert facts["service.name"] == "dance-orchestrator"
    assert [span.name for span in resource_spans.scope_spans[0].spans] == ["session"]
    assert tracing.begin_session("transfer", 1) is None


def test_a_silent_collector_does_not_delay_the_exit(monkeypatch: pytest.MonkeyPatch):
    """At exit a process waits for its last spans, but only for a limited time."""
    monkeypatch.setattr(tracing, "_SHUTDOWN_SECONDS", 0.05)
    received: queue.Queue[Any] = queue.Queue()
    go_on = threading.Event()
    with collector(received, go_on) as address:
        end = tracing.start(address, "orchestrator", VERSION)
        trace = tracing.begin_session("transfer", 1)
        assert trace is not None
        trace.end(None)
        end()
        (ending,) = [thread for thread in threading.enumerate() if thread.name == "last traces"]
        assert ending.is_alive()
        go_on.set()
        ending.join(10)
        assert not ending.is_alive()


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch):
    """A process that is configured to trace and cannot does not start; the error says what to install."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(
        BadSettings, match=r"traces need the extra 'tracing' \(in a checkout: pip install -e '.\[tracing\]'"
    ):
        tracing.start("127.0.0.1:4317", "orchestrator", VERSION)


def test_without_the_setting_nothing_is_imported():
    """A process without tracing never loads OpenTelemetry."""
    code = "import sys, orchestrator.servicer; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def _addresses(stack: Stack) -> dict[str, str]:
    names = ("pose", "normalize", "triton", "face", "agent")
    return {f"{name}_address": getattr(stack.settings, f"{name}_address") for name in names}
