"""Proxies in the environment: gRPC's own decision, and what our channels do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc.aio
import pytest

from serving.rpc import health_probe
from serving.rpc.channels import open_channel
from serving.transport.proxies import NO_PROXY, proxy_for

FAR = "far.example:443"


class Recorder:
    """A proxy that never answers and counts connections."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.came = asyncio.Event()


@asynccontextmanager
async def recorder() -> AsyncIterator[Recorder]:
    """Run it on a free port while the context lasts."""

    def on(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proxy.came.set()
        writer.close()

    server = await asyncio.start_server(on, "127.0.0.1", 0)
    proxy = Recorder(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    try:
        yield proxy
    finally:
        server.close()


async def asked(channel: grpc.aio.Channel, proxy: Recorder) -> bool:
    """Whether the channel connects to the proxy before its first attempt fails."""
    state = channel.get_state(try_to_connect=True)
    while state in (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING) and not proxy.came.is_set():
        changed = asyncio.create_task(channel.wait_for_state_change(state))
        came = asyncio.create_task(proxy.came.wait())
        await asyncio.wait({changed, came}, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
        came.cancel()
        if changed.done():
            await changed
        else:
            changed.cancel()
            break
        state = channel.get_state()
    return proxy.came.is_set()


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
@pytest.mark.parametrize("may_use_proxy", [False, True])
async def test_no_channel_to_this_machine_uses_a_proxy(monkeypatch, variable: str, may_use_proxy: bool):
    """A local server is called directly, whatever the environment."""
    async with recorder() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with open_channel("127.0.0.1:9", may_use_proxy=may_use_proxy) as channel:
            assert not await asked(channel, proxy)


@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "grpc_proxy"])
async def test_only_a_client_of_a_far_server_uses_one(monkeypatch, variable: str):
    """A remote stage is called directly, a client's remote server through the proxy."""
    async with recorder() as proxy:
        monkeypatch.setenv(variable, proxy.url)
        async with open_channel("192.0.2.1:443", may_use_proxy=True) as channel:
            assert await asked(channel, proxy)


async def test_a_stage_elsewhere_is_called_straight(monkeypatch):
    """Without `may_use_proxy`, gRPC gets the option that disables proxies."""
    given: list[tuple[str, int]] = []
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setattr(grpc.aio, "insecure_channel", lambda address, options: given.extend(options))
    open_channel("pose.dance:50051")
    assert NO_PROXY in given
    given.clear()
    open_channel(FAR, may_use_proxy=True)
    assert NO_PROXY not in given


async def test_the_health_command_asks_without_a_proxy(monkeypatch):
    """The health probe reports the port's status without using the proxy."""
    async with recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        said = await asyncio.to_thread(health_probe.health, "127.0.0.1:9", within_seconds=1.0)
        assert said.startswith("UNAVAILABLE")
        assert not proxy.came.is_set()


# environment, the server, whether gRPC goes through the proxy; PROXY stands for its URL
VERDICTS = [
    ({"http_proxy": "PROXY"}, FAR, True),
    ({"http_proxy": "PROXY", "grpc_proxy": ""}, FAR, False),
    ({"HTTP_PROXY": "PROXY"}, FAR, False),
    ({"all_proxy": "PROXY"}, FAR, False),
    ({"https_proxy": "socks5://127.0.0.1:9"}, FAR, False),
    ({"http_proxy": "PROXY", "no_proxy": "other, FAR.example"}, FAR, False),
    ({"http_proxy": "PROXY", "no_proxy": ".example"}, FAR, False),
    ({"http_proxy": "PROXY", "no_proxy": "far.example", "no_grpc_proxy": "other"}, FAR, True),
    ({"http_proxy": "PROXY", "NO_PROXY": "far.example"}, FAR, True),
    ({"http_proxy": "PROXY", "no_proxy": "10.0.0.0/8"}, "10.1.2.3:443", False),
    ({"http_proxy": "PROXY", "no_proxy": "10.2.0.0/16"}, "10.1.2.3:443", True),
    ({"http_proxy": "PROXY", "no_proxy": "2001:db8::/32"}, "[2001:db8::1]:443", False),
]


@pytest.mark.parametrize(("environment", "address", "through"), VERDICTS)
def test_the_verdict_is_grpcs(environment: dict[str, str], address: str, through: bool):
    """Our decision equals that of gRPC 1.85, measured with a counting proxy; only `*` is our own addition."""
    given = {name: value.replace("PROXY", "http://127.0.0.1:9") for name, value in environment.items()}
    choice = proxy_for(address, given)
    assert (choice is not None and not choice.unused_because) == through


def test_a_password_is_not_shown():
    """Only the host and port of a proxy are reported."""
    choice = proxy_for(FAR, {"http_proxy": "http://me:secret@proxy.example:3128"})
    assert choice is not None
    assert choice.proxy == "proxy.example:3128"
    assert proxy_for(FAR, {}) is None
    exempt = proxy_for(FAR, {"http_proxy": "http://p:1", "no_proxy": "*"})
    assert exempt is not None
    assert exempt.unused_because
