"""The generator's agent and a real Triton, with mutual TLS on every hop."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import psutil
import pytest
from dance.v1 import agent_pb2
from tritonclient.grpc import service_pb2

from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.connections import Connections
from orchestrator.stage_calls.inference import InferenceRequests, outputs_by_name
from services.generator.servicer import AgentService
from services.generator.settings import GeneratorSettings
from serving.actors.store import ActorStore
from serving.rpc.server import running
from tests.certificates import Authority
from tests.tiny_actors import publish_tiny

pytestmark = pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="nvidia-pytriton is not installed")


async def test_agent_and_triton_serve_only_who_shows_a_certificate(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """With mutual TLS agent and Triton accept the orchestrator's certificate; without it, or in plaintext, calls fail.

    Triton has no HTTP service, which has no TLS, and no log holds a key.
    """
    caplog.set_level(logging.DEBUG)
    authority = Authority(tmp_path)
    server, caller = authority.sign("generator"), authority.sign("orchestrator")
    store = ActorStore(tmp_path / "actors")
    publish_tiny(store, tmp_path, "kind")
    settings = GeneratorSettings(
        host="0.0.0.0",
        actors_root=store.root,
        tls_certificate=server.certificate,
        tls_key=server.key,
        tls_client_ca=authority.ca,
        triton_ca=authority.ca,
        triton_certificate=server.certificate,
        triton_key=server.key,
        triton_log=tmp_path / "triton.log",
        triton_exit_seconds=1,
        precision="f32",
        drain_seconds=0,
    )
    service = AgentService(settings)
    async with running(service, settings) as agent:
        triton = f"127.0.0.1:{service.ready_facts()['triton_port']}"

        def connections(**tls: Any) -> Connections:
            addresses: dict[str, Any] = {"agent_address": f"127.0.0.1:{agent.port}", "triton_address": triton}
            return Connections(OrchestratorSettings(**addresses, **tls))

        ours = {"stage_ca": authority.ca, "stage_certificate": caller.certificate, "stage_key": caller.key}
        known = connections(**ours)
        try:
            ensured = await known.agent.EnsureActor(agent_pb2.EnsureActorRequest(actor="kind"))
            assert ensured.actor_version == 1
            crop = store.load("kind").crop
            picture = np.zeros((crop.out_height_px, crop.out_width_px, 3), np.uint8)
            pictures = {"LABEL_MAP": picture, "PREVIOUS_FRAME": picture}
            answer = await known.triton.infer(InferenceRequests("kind", "1", ("FRAME",)).request(pictures))
            assert outputs_by_name(answer)["FRAME"].shape == (1, *picture.shape)
        finally:
            await known.close()
        for strange in (connections(), connections(stage_ca=authority.ca)):
            try:
                await _refused(strange.agent.EnsureActor, agent_pb2.EnsureActorRequest(actor="kind"))
                await _refused(strange.triton.server_live, service_pb2.ServerLiveRequest())
            finally:
                await strange.close()
        (process,) = [p for p in psutil.Process().children() if "tritonserver" in p.name()]
        assert "--allow-http=false" in process.cmdline()
        assert "--grpc-address=0.0.0.0" in process.cmdline()
    logs = caplog.text + (tmp_path / "triton.log").read_text()
    for signed in (server, caller):
        assert signed.key.read_text().splitlines()[1] not in logs


async def _refused(call: Callable[..., Any], *arguments: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="UNAVAILABLE"):
        await call(*arguments)
