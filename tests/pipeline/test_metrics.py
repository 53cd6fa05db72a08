"""The metrics page of a real orchestrator after real sessions."""

from __future__ import annotations

import asyncio
import urllib.request
from collections import defaultdict
from dataclasses import replace

import grpc
from dance.v1 import transfer_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.servicer import TransferService
from serving.observability import metrics
from serving.rpc.call_context import session_of
from serving.rpc.channels import open_channel
from serving.rpc.server import running
from tests.pipeline.chain import Dancing, Stack, configured, dance, raw_frame
from tests.pipeline.fake_stages import PATIENCE_SECONDS

STAGES = ("pose", "normalize", "label_map", "generator", "face", "encode")
SERVERS = ("pose", "normalize", "face", "agent", "triton")
LABELS = {
    "shown_to", "stage", "outcome", "result", "reason", "remark", "mark", "le", "version", "service", "by",
    "generation",
    "direction", "detail", "height_px",
    "actor", "actor_version",
}  # fmt: skip
Samples = defaultdict[tuple[str, tuple[tuple[str, str], ...]], float]


def _scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
        text = page.read().decode()
    samples: Samples = defaultdict(float)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return samples


async def scraped(port: int) -> Samples:
    """The page of a running server: each sample's value by name and labels; 0 for a missing sample."""
    return await asyncio.to_thread(_scraped, port)


def _settled(samples: Samples) -> bool:
    reachable = all(samples["dance_stage_reachable", (("stage", name),)] for name in SERVERS)
    return reachable and samples["dance_event_loop_lag_seconds_count", ()] > 0 and not samples["dance_sessions", ()]


async def test_every_promised_metric_has_data_after_a_session(stack: Stack):
    """After a session with a retry and a failed one, every listed metric has the expected value."""
    settings = replace(stack.settings, watch_seconds=0.05)
    async with (
        running(TransferService(settings), settings) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        stub = transfer_pb2_grpc.TransferServiceStub(channel)
        before = await scraped(server.metrics_port)
        stack.triton.unloaded[1] = (grpc.StatusCode.NOT_FOUND, "unknown model")
        await dance(stub, configured(), *(raw_frame(t) for t in range(3)))
        stack.pose.dies_at = 0
        dancing = Dancing(stub)
        await dancing.send(configured(), raw_frame(0))
        await dancing.failure()
        session = await session_of(dancing.call)
        async with asyncio.timeout(PATIENCE_SECONDS):
            # Each check waits for the page. A stream that has ended for its client lives a moment longer on the server.
            while not _settled(after := await scraped(server.metrics_port)):
                pass

    def grown(name: str, **labels: str) -> float:
        key = name, tuple(sorted(labels.items()))
        assert key in after, f"{name} {labels} is missing"
        return after[key] - before[key]

    for stage in STAGES:
        assert grown("dance_stage_duration_seconds_count", stage=stage, outcome="ok") == 3
        assert grown("dance_stage_queue_seconds_count", stage=stage) == 3
        assert grown("dance_stage_compute_seconds_count", stage=stage) == 3
    assert grown("dance_stage_duration_seconds_count", stage="pose", outcome="failed") >= 2
    assert grown("dance_stage_retries_total", stage="generator") == 1
    assert grown("dance_stage_retries_total", stage="face") == 0
    assert grown("dance_frame_seconds_count") == 3
    assert grown("dance_frames_total", result="picture") == 3
    assert grown("dance_session_end_total", reason="finished") == 1
    assert grown("dance_session_end_total", reason="stage_failed") == 1
    assert after["dance_frames_in_flight", ()] == 0
    assert after["dance_session_capacity", ()] == stack.settings.max_sessions
    assert after["dance_build_info", (("service", "orchestrator"), ("version", "0.2.0"))] == 1
    others = ("dance_training_", "dance_web_")  # of other tests in this process
    ours = [labels for name, labels in after if name.startswith("dance_") and not name.startswith(others)]
    said = [label for labels in ours for label in labels]
    assert {name for name, _ in said} <= LABELS
    assert session
    assert not [value for _, value in said if session in value]


def test_a_budget_ends_at_a_bucket():
    """Frames at 120, 60, 30, 25 and 15 a second become late at an edge that the histograms have."""
    assert {0.008, 0.016, 0.033, 0.04, 0.065} <= {*metrics.FRAME_BUCKETS_SECONDS}
