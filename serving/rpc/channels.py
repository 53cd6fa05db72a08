"""How every channel is opened."""

from __future__ import annotations

import os
from typing import Final

import grpc.aio

from serving.rpc.server import MESSAGE_LIMIT_BYTES
from serving.transport.proxies import NO_PROXY, proxy_for
from serving.transport.tls import ChannelTls, channel_credentials, is_local

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", MESSAGE_LIMIT_BYTES),
    ("grpc.max_send_message_length", MESSAGE_LIMIT_BYTES),
    # A ping without an answer reveals a connection whose peer has vanished. While a bandwidth ping is unanswered,
    # no keepalive ping is sent; `ping_timeout_ms`, a minute by default, covers that case. Pings continue on idle
    # streams; by default grpc stops after two pings without data in between.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.lb_policy_name", "round_robin"),
    # A name is resolved again when a replica goes away, by default at most every 30 s. If a second replica went within
    # that time, no replica would be left for longer than sessions wait.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Each channel has its own connections. From the shared pool, a new channel would inherit the back-off of an earlier
    # one, whose server died and whose port may belong to another server by now.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC's own back-off grows to 2 minutes, and a recovered stage would go unnoticed for as long. The last option
    # limits one attempt, which takes 20 s by default if a hanging process holds the port.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),
)
CHANNEL_OPTIONS: Final = (*_OPTIONS, NO_PROXY)
"""The options within a stack, for clients that open their own channel, such as Triton's."""


def open_channel(address: str, tls: ChannelTls | None = None, *, may_use_proxy: bool = False) -> grpc.aio.Channel:
    """Open a channel to `host:port`, or to several replicas, which take turns. It connects when it is first used.

    Close it, or use it as a context. Replicas are a name with several addresses, `dns:///name:port`, or a list of
    addresses, `ipv4:10.0.0.1:50052,10.0.0.2:50052`.

    tls: None for plaintext. may_use_proxy: use the proxy that `http_proxy` and similar variables name; without it, and
    for an address on this machine, the environment is ignored. Raises BadSettings for bad files in `tls`.
    """
    options = _OPTIONS if may_use_proxy and goes_through_proxy(address) else CHANNEL_OPTIONS
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, channel_credentials(tls), options=options)


def goes_through_proxy(address: str) -> bool:
    """Whether a channel that may use a proxy uses one, in this process's environment."""
    if is_local(address):
        return False
    choice = proxy_for(address, os.environ)
    return choice is not None and not choice.unused_because
