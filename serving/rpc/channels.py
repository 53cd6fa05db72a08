"""How every channel of ours is opened."""

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
    # A connection whose other end is gone without a word is noticed by a ping that nobody answers. While a ping that
    # measures the bandwidth is without its answer, none is sent for the keepalive: `ping_timeout_ms` is for those, a
    # minute by default. Idle streams are pinged on; grpc would stop after two pings without data in between.
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.lb_policy_name", "round_robin"),
    # A name is looked up again when a replica goes away; by default at most every 30 s, and a second replica that goes
    # within that time would leave nobody to ask for longer than sessions wait.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # A channel connects for itself. In the pool that all channels share, a new one would inherit how long to wait
    # before the next attempt from an earlier one, whose server died and whose port somebody else has by now.
    ("grpc.use_local_subchannel_pool", 1),
    # gRPC's own pauses grow to 2 minutes: so long a stage that is back would not be noticed. The last is how long one
    # attempt may take, which is 20 s where a port is held by a process that hangs.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    ("grpc.min_reconnect_backoff_ms", 5_000),
)
CHANNEL_OPTIONS: Final = (*_OPTIONS, NO_PROXY)
"""Of a channel within a stack, for clients that open theirs themselves, as Triton's does."""


def open_channel(address: str, tls: ChannelTls | None = None, *, may_use_proxy: bool = False) -> grpc.aio.Channel:
    """A channel to `host:port`, or to several replicas, which then take turns. Nothing is connected until it is used.

    To be closed, or used as a context. Replicas: a name with several addresses, `dns:///name:port`, or a list of
    addresses, `ipv4:10.0.0.1:50052,10.0.0.2:50052`.

    tls: None is plaintext. may_use_proxy: the server may be one that only a proxy reaches, as `http_proxy` and its like
    name it; without, and for an address on this machine, the environment does not count. Raises BadSettings for the
    files of `tls`.
    """
    options = _OPTIONS if may_use_proxy and goes_through_proxy(address) else CHANNEL_OPTIONS
    if tls is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, channel_credentials(tls), options=options)


def goes_through_proxy(address: str) -> bool:
    """Whether a channel that may use a proxy does, in this process's environment."""
    if is_local(address):
        return False
    choice = proxy_for(address, os.environ)
    return choice is not None and not choice.unused_because
