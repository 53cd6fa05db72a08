"""How every channel of ours is opened."""

from __future__ import annotations

from typing import Final

import grpc.aio

from serving.server import MESSAGE_LIMIT_BYTES
from serving.tls import ChannelTls, channel_credentials

CHANNEL_OPTIONS: Final = (
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


def open_channel(address: str, tls: ChannelTls | None = None) -> grpc.aio.Channel:
    """A channel to `host:port`, or to several replicas, which then take turns. Nothing is connected until it is used.

    To be closed, or used as a context. Replicas: a name with several addresses, `dns:///name:port`, or a list of
    addresses, `ipv4:10.0.0.1:50052,10.0.0.2:50052`.

    tls: None is plaintext. Raises BadSettings for its files.
    """
    if tls is None:
        return grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS)
    return grpc.aio.secure_channel(address, channel_credentials(tls), options=CHANNEL_OPTIONS)
