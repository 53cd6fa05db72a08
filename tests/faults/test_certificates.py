"""Which certificates are accepted where, on real ports."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from dance.v1 import actor_pb2, agent_pb2, face_pb2, transfer_pb2, transfer_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import REGISTRY
from tritonclient.grpc import service_pb2

from orchestrator.settings import OrchestratorSettings
from orchestrator.stage_calls.connections import Connections
from serving.errors import BadSettings
from serving.rpc.authentication import client_of
from serving.rpc.channels import open_channel
from serving.rpc.server import RunningServer, ServerSettings, Service, running
from serving.transport.tls import ChannelTls
from tests.certificates import Authority, Signed

PATIENCE_SECONDS = 30


class Echo(Service, transfer_pb2_grpc.TransferServiceServicer):
    """Answers every request at once, with the caller's name."""

    name = "echo"
    full_names = ("dance.v1.TransferService",)

    async def ListActors(self, request, context):  # noqa: N802
        return transfer_pb2.ListActorsResponse(actors=[actor_pb2.ActorSummary(actor=client_of(context))])

    async def Transfer(self, requests, context):  # noqa: N802
        async for _ in requests:
            yield transfer_pb2.TransferResponse()

    def register(self, server: grpc.aio.Server) -> None:
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(self, server)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def foreign(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "foreign")


def settings_of(signed: Signed, client_ca: Path | None = None) -> ServerSettings:
    return ServerSettings(
        tls_certificate=signed.certificate, tls_key=signed.key, tls_client_ca=client_ca, drain_seconds=0
    )


def shown(ca: Path, signed: Signed | None = None) -> ChannelTls:
    if signed is None:
        return ChannelTls(ca=ca)
    return ChannelTls(ca=ca, certificate=signed.certificate, key=signed.key)


async def called(server: RunningServer, tls: ChannelTls | None) -> str:
    """The caller's name at the server."""
    async with open_channel(f"127.0.0.1:{server.port}", tls) as channel:
        stub = transfer_pb2_grpc.TransferServiceStub(channel)
        listed = await stub.ListActors(transfer_pb2.ListActorsRequest(), timeout=PATIENCE_SECONDS)
    return listed.actors[0].actor


async def refused(server: RunningServer, tls: ChannelTls | None) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await called(server, tls)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    return caught.value.details()


async def test_a_caller_who_knows_the_ca_is_served(authority: Authority):
    """With TLS alone every caller is accepted, and all are anonymous."""
    async with running(Echo(), settings_of(authority.sign("server"))) as server:
        assert await called(server, shown(authority.ca)) == "anonymous"


async def test_with_mutual_tls_the_certificate_says_who_calls(authority: Authority):
    """The first alternative name of the caller's certificate is its name."""
    async with running(Echo(), settings_of(authority.sign("server"), authority.ca)) as server:
        assert await called(server, shown(authority.ca, authority.sign("studio"))) == "certificate:studio"


async def test_a_server_of_another_ca_is_not_called(authority: Authority, foreign: Authority):
    """A caller refuses a server whose certificate was signed by another CA."""
    async with running(Echo(), settings_of(foreign.sign("server"))) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in await refused(server, shown(authority.ca))


async def test_a_server_of_another_name_is_not_called(authority: Authority):
    """A certificate for another address is refused, no matter who signed it."""
    async with running(Echo(), settings_of(authority.sign("server", host="127.0.0.9"))) as server:
        assert "Hostname Verification Check failed" in await refused(server, shown(authority.ca))


async def test_an_expired_server_is_not_called(authority: Authority, caplog: pytest.LogCaptureFixture):
    """Callers refuse an expired certificate, and the server's log says why."""
    expired = authority.sign("server", valid_for=timedelta(hours=-1))
    async with running(Echo(), settings_of(expired)) as server:
        assert "CERTIFICATE_VERIFY_FAILED" in await refused(server, shown(authority.ca))
    assert "has expired" in caplog.text


async def test_metrics_tell_when_a_certificate_expires(authority: Authority):
    """The expiry time is reported in advance, for server certificates and for client certificates."""
    own = authority.sign("server", valid_for=timedelta(hours=5))
    async with running(Echo(), settings_of(own)) as server:
        await called(server, shown(authority.ca, own))
    wanted = x509.load_pem_x509_certificate(own.certificate.read_bytes()).not_valid_after_utc.timestamp()
    for shown_to in ("callers", "servers"):
        labels = {"shown_to": shown_to}
        assert REGISTRY.get_sample_value("dance_tls_certificate_not_after_seconds", labels) == wanted


async def test_plaintext_does_not_enter_a_tls_port(authority: Authority):
    """A caller without TLS gets no answer from a port with TLS."""
    async with running(Echo(), settings_of(authority.sign("server"))) as server:
        await refused(server, None)


@pytest.mark.parametrize("case", ["missing", "wrong CA", "expired"])
async def test_mutual_tls_refuses_who_cannot_prove_itself(authority: Authority, foreign: Authority, case: str):
    """A caller without a certificate, with one of another CA, or with an expired one cannot make a call."""
    clients = {
        "missing": None,
        "wrong CA": foreign.sign("stranger"),
        "expired": authority.sign("late", valid_for=timedelta(hours=-1)),
    }
    async with running(Echo(), settings_of(authority.sign("server"), authority.ca)) as server:
        await refused(server, shown(authority.ca, clients[case]))


async def test_health_needs_no_certificate_and_has_nothing_else(authority: Authority):
    """Probes have no certificates: the health port is plaintext, and serves only health."""
    async with (
        running(Echo(), settings_of(authority.sign("server"), authority.ca)) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await transfer_pb2_grpc.TransferServiceStub(channel).ListActors(transfer_pb2.ListActorsRequest())
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_new_certificate_is_taken_while_a_session_runs(authority: Authority, foreign: Authority):
    """After the files change new callers see the new certificate, and an open session continues."""
    files = authority.sign("server")
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running(Echo(), settings_of(files)))
        channel = await stack.enter_async_context(open_channel(f"127.0.0.1:{server.port}", shown(authority.ca)))
        session = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()
        stack.callback(session.cancel)
        await _asks_and_is_answered(session)
        assert foreign.sign("server") == files  # the same files, written again
        assert await called(server, shown(foreign.ca)) == "anonymous"
        await refused(server, shown(authority.ca))
        await _asks_and_is_answered(session)


async def _asks_and_is_answered(session) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await session.write(transfer_pb2.TransferRequest())
        assert await session.read() == transfer_pb2.TransferResponse()


async def test_another_client_ca_is_taken_too(authority: Authority, foreign: Authority, tmp_path: Path):
    """Callers are checked against the current CA file."""
    client_ca = tmp_path / "clients.pem"
    client_ca.write_bytes(authority.ca.read_bytes())
    ours, theirs = authority.sign("ours"), foreign.sign("theirs")
    async with running(Echo(), settings_of(authority.sign("server"), client_ca)) as server:
        assert await called(server, shown(authority.ca, ours)) == "certificate:ours"
        client_ca.write_bytes(foreign.ca.read_bytes())
        assert await called(server, shown(authority.ca, theirs)) == "certificate:theirs"
        await refused(server, shown(authority.ca, ours))


async def test_half_of_a_renewal_keeps_the_old_pair(authority: Authority, caplog: pytest.LogCaptureFixture):
    """A certificate whose key has not been written yet is not loaded, and the log says so without quoting either."""
    files, other = authority.sign("server"), authority.sign("other")
    async with running(Echo(), settings_of(files)) as server:
        files.certificate.write_bytes(other.certificate.read_bytes())
        assert await called(server, shown(authority.ca)) == "anonymous"
        assert caplog.text.count("do not match") == 1
        files.key.write_bytes(other.key.read_bytes())
        assert await called(server, shown(authority.ca)) == "anonymous"
    for pem in (files.certificate, files.key):
        assert pem.read_text().splitlines()[1] not in caplog.text


@pytest.mark.parametrize("stage", ["pose", "normalize", "face", "agent", "triton"])
async def test_the_orchestrator_shows_its_certificate_to_every_stage(authority: Authority, stage: str):
    """A stage with mutual TLS accepts the orchestrator with `stage_certificate`, and not without."""
    own = authority.sign("orchestrator")
    async with running(Echo(), settings_of(authority.sign("server"), authority.ca)) as server:
        address: dict[str, Any] = {f"{stage}_address": f"127.0.0.1:{server.port}"}
        known: dict[str, Any] = {"stage_ca": authority.ca}
        shows = {**known, "stage_certificate": own.certificate, "stage_key": own.key}
        # It is not a real stage: a call that gets through is answered UNIMPLEMENTED.
        for tls, status in ((known, "UNAVAILABLE"), (shows, "UNIMPLEMENTED")):
            connections = Connections(OrchestratorSettings(**address, **tls))
            try:
                with pytest.raises(grpc.aio.AioRpcError, match=status):
                    await _call(connections, stage)
            finally:
                await connections.close()


async def _call(connections: Connections, stage: str) -> None:
    if stage in ("pose", "normalize"):
        # No requests are sent: grpcio cancels a call whose requests meet its end.
        call = (connections.pose.Estimate if stage == "pose" else connections.normalize.Normalize)()
        try:
            await call.read()
        finally:
            call.cancel()
    elif stage == "face":
        await connections.face.Refine(face_pb2.RefineRequest())
    elif stage == "agent":
        await connections.agent.EnsureActor(agent_pb2.EnsureActorRequest())
    else:
        await connections.triton.server_live(service_pb2.ServerLiveRequest())


@pytest.mark.parametrize("case", ["missing", "no certificate", "no key", "foreign key"])
async def test_a_server_does_not_start_on_bad_files(authority: Authority, case: str):
    """An error in the files is reported at start, in one line."""
    files = authority.sign("server")
    if case == "missing":
        files.key.unlink()
    elif case == "no certificate":
        files.certificate.write_text("-----BEGIN CERTIFICATE-----")
    elif case == "no key":
        files.key.write_text("a secret that is no key")
    else:
        files.key.write_bytes(authority.sign("other").key.read_bytes())
    said = {
        "missing": "server.key cannot be read: No such file",
        "no certificate": "contains no certificate in PEM",
        "no key": "contains no private key in PEM",
        "foreign key": "do not match",
    }
    with pytest.raises(BadSettings, match=said[case]) as caught:
        async with running(Echo(), settings_of(files)):
            raise AssertionError("must not get here")
    assert "a secret" not in str(caught.value)
