"""Whether a gRPC channel uses an HTTP proxy from the environment.

gRPC reads the environment for every channel, even to the loopback. A proxy can reach neither this machine's loopback
nor the stages of a stack, so our channels ignore it; only a client of a remote server uses it (`serving.rpc.channels`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

from serving.transport.addresses import hosts_of

NO_PROXY: Final = ("grpc.enable_http_proxy", 0)
"""The channel option that ignores the environment."""

PROXY_VARIABLES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
"""The variables that gRPC reads. The first one that is set counts, even if it is empty, which means no proxy."""
EXEMPTING_VARIABLES: Final = ("no_grpc_proxy", "no_proxy")
"""The variables from which gRPC reads the exempt servers. Only the first one that is set counts."""
_READ_BY_OTHERS: Final = ("all_proxy", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True, slots=True)
class ProxyChoice:
    """The environment's proxy for one server.

    variable: its name. proxy: host:port, without user and password. unused_because: why the channel does not use the
    proxy; empty if it does.
    """

    variable: str
    proxy: str
    unused_because: str = ""


def proxy_for(address: str, environment: Mapping[str, str]) -> ProxyChoice | None:
    """Return the proxy for a server at `address`, as gRPC chooses it; None if the environment names none.

    A list is exempt if each of its hosts is. gRPC itself exempts no list, so `serving.rpc.channels` disables the proxy.
    """
    variable = next((name for name in PROXY_VARIABLES if name in environment), "")
    value = environment.get(variable, "")
    if not value:
        ignored = next((name for name in _READ_BY_OTHERS if environment.get(name)), "")
        return ProxyChoice(ignored, _without_user(environment[ignored]), "gRPC does not read it") if ignored else None
    proxy = _without_user(value)
    if urlsplit(value).scheme != "http":
        return ProxyChoice(variable, proxy, "gRPC supports only http:// proxies")
    exempting = next((name for name in EXEMPTING_VARIABLES if name in environment), "")
    hosts = hosts_of(address)
    if not hosts:
        return ProxyChoice(variable, proxy, "a socket file is on this machine")
    entries = [entry.strip() for entry in environment.get(exempting, "").split(",")]
    if all(any(_exempts(entry, host) for entry in entries) for host in hosts):
        return ProxyChoice(variable, proxy, f"{exempting} exempts {', '.join(hosts)}")
    return ProxyChoice(variable, proxy)


def _exempts(entry: str, host: str) -> bool:
    if not entry:
        return False
    if entry == "*":
        return True
    try:
        return ip_address(host) in ip_network(entry, strict=False)
    except ValueError:
        return host.lower().endswith(entry.lower())


def _without_user(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2] or url.rpartition("@")[2]
