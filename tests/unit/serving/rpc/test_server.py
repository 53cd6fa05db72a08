"""A server reports ready only when it is, and turns errors into statuses."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from dance.v1 import transfer_pb2, transfer_pb2_grpc
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from serving.errors import AtCapacity, BadInput, BadSettings, DanceError
from serving.rpc.channels import open_channel
from serving.rpc.health import LIVE, Health
from serving.rpc.server import ServerSettings, Service, running


class Raises(transfer_pb2_grpc.TransferServiceServicer):
    """Raises the given error from a unary call, and from a stream after one answer."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def ListActors(self, request, context):  # noqa: N802
        raise self.error

    async def Transfer(self, requests, context):  # noqa: N802
        yield transfer_pb2.TransferResponse()
        raise self.error


class Example(Service):
    """A service of one servicer that records what happens."""

    name = "example"
    full_names = ("dance.v1.TransferService",)

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error or DanceError("nothing")
        self.happened: list[str] = []
        self.warm_up_error: Exception | None = None

    def register(self, server: grpc.aio.Server) -> None:
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(Raises(self.error), server)

    async def warm_up(self) -> None:
        self.happened.append("warm")
        if self.warm_up_error:
            raise self.warm_up_error

    async def close(self) -> None:
        self.happened.append("closed")


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url) as page:
        return page.read()


async def _call(service: Example) -> grpc.aio.AioRpcError:
    async with (
        running(service, ServerSettings(drain_seconds=0)) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await transfer_pb2_grpc.TransferServiceStub(channel).ListActors(transfer_pb2.ListActorsRequest())
    return caught.value


async def test_bad_input_names_its_field():
    """BadInput becomes INVALID_ARGUMENT with the field's path among the details."""
    error = await _call(Example(BadInput("config.actor", "is empty")))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert error.details() == "config.actor: is empty"
    detail = error_details_pb2.BadRequest()
    assert rpc_status.from_call(error).details[0].Unpack(detail)
    assert detail.field_violations[0].field == "config.actor"


async def test_a_full_server_says_when_to_try_again():
    """AtCapacity becomes RESOURCE_EXHAUSTED with RetryInfo."""
    error = await _call(Example(AtCapacity("full")))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert rpc_status.from_call(error).details[0].Is(error_details_pb2.RetryInfo.DESCRIPTOR)


async def test_our_error_inside_a_group_is_found():
    """Task groups wrap errors; the client gets the first DanceError."""
    error = await _call(Example(ExceptionGroup("tasks", [ExceptionGroup("more", [AtCapacity("full")])])))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_unexpected_error_tells_no_internals(caplog: pytest.LogCaptureFixture):
    """Any other error becomes INTERNAL without its text, and is logged once."""
    error = await _call(Example(RuntimeError("a secret")))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in error.details()
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_a_stream_keeps_what_was_answered_before_the_error():
    """Answers written before an error reach the client, then the status."""
    async with (
        running(Example(AtCapacity("full")), ServerSettings(drain_seconds=0)) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        call = transfer_pb2_grpc.TransferServiceStub(channel).Transfer()
        assert await call.read() == transfer_pb2.TransferResponse()
        with pytest.raises(grpc.aio.AioRpcError):
            await call.read()


async def test_health_and_metrics_have_ports_of_their_own():
    """Once running, health is SERVING for the process and its services, and metrics can be scraped."""
    async with (
        running(Example(), ServerSettings()) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        for name in ("", "dance.v1.TransferService"):
            request = health_pb2.HealthCheckRequest(service=name)
            answer = await health_pb2_grpc.HealthStub(channel).Check(request)
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert b"dance_build_info" in await asyncio.to_thread(_read, f"http://127.0.0.1:{server.metrics_port}/metrics")


async def test_a_process_that_does_not_serve_lives():
    """ "live" is SERVING while the process is NOT_SERVING."""
    async with (
        running(Example(), ServerSettings()) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        await server.health.set(False)
        said = [
            (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))).status
            for name in ("", LIVE)
        ]
    assert said == [health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING]


class Waiting(Example):
    """A service that depends on something that is not there yet."""

    ready_at_start = False

    def __init__(self) -> None:
        super().__init__()
        self.there = asyncio.Event()

    async def keep_health(self, health: Health) -> None:
        await self.there.wait()
        await health.set(True)


async def test_what_waits_for_something_does_not_say_that_it_serves():
    """A waiting service is never SERVING too early, when callers would come; it is live from the start."""
    service = Waiting()
    async with (
        running(service, ServerSettings()) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        live = await stub.Check(health_pb2.HealthCheckRequest(service=LIVE))
        assert live.status == health_pb2.HealthCheckResponse.SERVING
        service.there.set()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        watch.cancel()


class AnswersWithPeers(transfer_pb2_grpc.TransferServiceServicer):
    """Answers each request of a stream with the caller's address."""

    async def Transfer(self, requests, context):  # noqa: N802
        async for _ in requests:
            accepted = transfer_pb2.TransferAccepted(server_version=context.peer())
            yield transfer_pb2.TransferResponse(accepted=accepted)


class Peers(Example):
    """A service of that servicer."""

    def register(self, server: grpc.aio.Server) -> None:
        transfer_pb2_grpc.add_TransferServiceServicer_to_server(AnswersWithPeers(), server)


async def test_an_old_connection_is_renewed_and_its_streams_go_on():
    """New calls use a new connection, for which replicas were resolved again; an open stream keeps its own."""
    settings = ServerSettings(drain_seconds=0, max_connection_age_seconds=0.05)
    async with running(Peers(), settings) as server, open_channel(f"127.0.0.1:{server.port}") as channel:
        stub = transfer_pb2_grpc.TransferServiceStub(channel)

        async def peer(call) -> str:
            await call.write(transfer_pb2.TransferRequest())
            return (await call.read()).accepted.server_version

        old = stub.Transfer()
        first = latest = await peer(old)
        while latest == first:  # about one call per millisecond, until the connection is a new one
            young = stub.Transfer()
            latest = await peer(young)
            await young.done_writing()
            assert await young.read() is grpc.aio.EOF
        assert await peer(old) == first
        await old.done_writing()
        assert await old.read() is grpc.aio.EOF


async def test_a_failed_warm_up_closes_the_service():
    """A service whose warm-up fails does not start, and is closed."""
    service = Example()
    service.warm_up_error = DanceError("no model")
    with pytest.raises(DanceError, match="no model"):
        async with running(service, ServerSettings()):
            raise AssertionError("must not get here")
    assert service.happened == ["warm", "closed"]


async def test_a_port_in_use_is_refused_by_name():
    """Two servers never share a port, and the error names the setting."""
    async with running(Example(), ServerSettings()) as server:
        with pytest.raises(BadSettings, match=f"cannot listen on .*{server.port}; is it in use"):
            async with running(Example(), ServerSettings(port=server.port)):
                raise AssertionError("must not get here")


@pytest.mark.parametrize(
    "changes",
    [
        {"port": -1},
        {"health_port": 70000},
        {"drain_seconds": -1},
        {"max_connection_age_seconds": float("nan")},
        {"log_level": "LOUD"},
    ],
)
def test_nonsense_settings_are_refused(changes: dict):
    """Ports, times and levels out of range raise ValueError with the field's name."""
    with pytest.raises(ValueError, match=next(iter(changes))):
        ServerSettings(**changes)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "192.0.2.7", "", "dance.example"])
def test_plaintext_is_not_served_to_other_machines_by_accident(host: str):
    """A host that other machines can reach needs TLS, or plaintext requested explicitly."""
    with pytest.raises(ValueError, match=r"can be reached from other machines.*insecure=true"):
        ServerSettings(host=host)
    ServerSettings(host=host, insecure=True)
    ServerSettings(host=host, tls_certificate=Path("c"), tls_key=Path("k"))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"])
def test_loopback_may_be_plaintext(host: str):
    """A loopback host needs neither TLS nor `insecure`."""
    assert ServerSettings(host=host).tls() is None


@pytest.mark.parametrize("names", [["tls_certificate"], ["tls_key"], ["tls_client_ca"], ["tls_key", "tls_client_ca"]])
def test_half_of_tls_is_refused(names: list[str]):
    """A certificate without its key, or a CA for callers without either, is refused."""
    files: dict[str, Any] = dict.fromkeys(names, Path("file"))
    with pytest.raises(ValueError, match="belong together"):
        ServerSettings(**files)


ENDED_TWICE = """
import asyncio, os, signal, sys
from serving.rpc import server
from serving.rpc.server import ServerSettings, Service, run_service

server._SAME_SIGNAL_SECONDS = float(sys.argv[1])

class Example(Service):
    name, full_names = "example", ()
    def register(self, server): pass
    def ready_facts(self):
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGTERM)
        return {}
    async def close(self):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        print("closed", flush=True)

run_service(lambda settings: Example(), ServerSettings, "X_")
"""


@pytest.mark.parametrize(("same_signal_seconds", "code", "closed"), [("60", 0, True), ("0", 1, False)])
def test_a_signal_that_comes_in_copies_is_one(same_signal_seconds: str, code: int, closed: bool):
    """A killed parent's children may get the signal several times at once; only a later signal ends them at once."""
    command = [sys.executable, "-c", ENDED_TWICE, same_signal_seconds]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == code, ended.stderr
    assert ("closed" in ended.stdout) is closed


class AnyToken:
    """A check that accepts every token."""

    def client(self, token: str) -> str:
        return "somebody"


class Guarding(Example):
    """A service that requires a token from every caller."""

    token_check = AnyToken()


@pytest.mark.parametrize(
    ("service", "host", "reflects"),
    [(Example, "127.0.0.1", True), (Example, "0.0.0.0", False), (Guarding, "0.0.0.0", True)],
)
async def test_reflection_is_for_this_machine_and_for_known_callers(service: type[Example], host: str, reflects: bool):
    """Where unauthenticated callers from other machines are allowed, reflection is UNIMPLEMENTED."""
    async with (
        running(service(), ServerSettings(host=host, insecure=True)) as server,
        open_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        ask = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        call = ask(iter([request]), metadata=(("authorization", "Bearer x"),))
        if reflects:
            listed = (await call.read()).list_services_response.service
            assert "dance.v1.TransferService" in [one.name for one in listed]
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
