"""A trace collector, and the proxies in the environment."""

from __future__ import annotations

import os

import pytest

from serving.errors import BadSettings
from serving.observability import tracing
from serving.transport.proxies import proxy_for

SETTING = "no_grpc_proxy"
PROXY = {"http_proxy": "http://proxy.example:3128"}


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("127.0.0.1:4317", "127.0.0.1"),
        ("http://localhost:4317", "localhost"),
        ("https://localhost", "localhost"),
        ("http://[::1]:4317", "::1"),
        ("[::1]:4317", "::1"),
        ("collector:4317", "collector"),
        ("http://collector", "collector"),
        ("dns:///collector:4317", "collector"),
        ("collector", "collector"),
        ("[::1]", "::1"),
        ("http://collector.traces.svc:4317", "collector.traces.svc"),
        ("collector.traces.svc.cluster.local:4317", "collector.traces.svc.cluster.local"),
    ],
)
def test_a_collector_within_the_stack_bypasses_the_proxy(endpoint: str, host: str):
    """A collector on this machine or in the stack is exempt from proxies; the user's own exemptions stay."""
    for given, exempt in (
        ({}, host),
        ({"no_proxy": "far.example"}, f"far.example,{host}"),
        ({"no_grpc_proxy": "near.example,other", "no_proxy": "far.example"}, f"near.example,other,{host}"),
        ({"no_grpc_proxy": "", "no_proxy": "far.example"}, host),
    ):
        environment = {**PROXY, **given}
        tracing.exempt_collector(endpoint, environment)
        assert environment == {**PROXY, **given, "no_grpc_proxy": exempt}
        choice = proxy_for(f"[{host}]:4317" if ":" in host else f"{host}:4317", environment)
        assert choice is not None
        assert choice.unused_because
        tracing.exempt_collector(endpoint, environment)
        assert environment["no_grpc_proxy"] == exempt, "the same once more"


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://traces.example:4317",
        "https://traces.example",
        "http://user@192.0.2.1:4317",
        "traces.example:4317",
        "[2001:db8::1]:4317",
        "http://[2001:db8::1]",
        "https://svc.example",
        "unix:/run/collector",
    ],
)
def test_another_collector_is_called_as_the_user_says(endpoint: str):
    """A remote collector may need the proxy, and a socket needs no exemption."""
    environment = {**PROXY, "no_proxy": "far.example"}
    tracing.exempt_collector(endpoint, environment)
    assert environment == {**PROXY, "no_proxy": "far.example"}


def test_an_endpoint_that_is_none_is_named():
    """A bad endpoint is refused by its setting, before anything is exported."""
    with pytest.raises(BadSettings, match=r"traces_endpoint: expected HOST:PORT or a URL, got 'http://\[::1:4317'"):
        tracing.exempt_collector("http://[::1:4317", {})


def test_what_starts_traces_leaves_the_users_choice(monkeypatch: pytest.MonkeyPatch):
    """The exemption holds for the whole process, because gRPC's channels read the same variables."""
    pytest.importorskip("opentelemetry.sdk.trace", reason="needs the extra tracing: opentelemetry-sdk")
    monkeypatch.setenv(SETTING, "far.example")
    tracing.start("https://traces.example", "pose", "1")()
    assert os.environ.get(SETTING) == "far.example"
    tracing.start("127.0.0.1:4317", "pose", "1")()
    assert os.environ.get(SETTING) == "far.example,127.0.0.1"
