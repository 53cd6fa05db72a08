"""Channels find the replicas of a name, and trust only a server with that name."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from serving.rpc.channels import open_channel
from serving.transport.tls import ChannelTls, ServerTls, server_credentials
from tests.certificates import Authority


class _Counting(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Answers calls and counts them."""

    def __init__(self) -> None:
        self.calls = 0

    async def Check(self, request, context):  # noqa: N802
        self.calls += 1
        return health_pb2.HealthCheckResponse()


async def _serve(stack: AsyncExitStack, credentials: grpc.ServerCredentials | None = None) -> tuple[_Counting, int]:
    servicer, server = _Counting(), grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    stack.push_async_callback(server.stop, 0)
    return servicer, port


async def test_calls_go_to_all_replicas():
    """A name with several addresses, such as a headless Service, is called at each in turn."""
    async with AsyncExitStack() as stack:
        replicas = [await _serve(stack) for _ in range(3)]
        addresses = ",".join(f"127.0.0.1:{port}" for _, port in replicas)
        channel = await stack.enter_async_context(open_channel(f"ipv4:{addresses}"))
        while not all(replica.calls for replica, _ in replicas):
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), wait_for_ready=True)


@pytest.mark.parametrize(("name", "believed"), [("localhost", True), ("pose.elsewhere", False)])
async def test_a_name_that_dns_resolves_is_the_one_in_the_certificate(tmp_path: Path, name: str, believed: bool):
    """For `dns:///host:port`, as in the manifests, the certificate must be for `host`."""
    authority = Authority(tmp_path)
    signed = authority.sign(name, host="192.0.2.1")
    async with AsyncExitStack() as stack:
        tls = ServerTls(certificate=signed.certificate, key=signed.key)
        _, port = await _serve(stack, server_credentials(tls))
        address = f"dns:///localhost:{port}"
        channel = await stack.enter_async_context(open_channel(address, ChannelTls(ca=authority.ca)))
        call = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        if believed:
            await call
        else:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
