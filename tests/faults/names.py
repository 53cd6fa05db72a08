"""A name server that returns the replicas of one name, like Kubernetes for a headless Service."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

_A = 1
_HEADER_BYTES = 12


class NameServer(asyncio.DatagramProtocol):
    """`addresses` answer every question for A records; there are no other records. port: where it listens."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.addresses = list(addresses)
        self.port = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer one question."""
        end = data.index(b"\0", _HEADER_BYTES) + 1
        (kind,) = struct.unpack_from(">H", data, end)
        found = self.addresses if kind == _A else []
        header = struct.pack(">HHHHHH", struct.unpack_from(">H", data)[0], 0x8580, 1, len(found), 0, 0)
        records = b"".join(
            struct.pack(">HHHIH", 0xC00C, _A, 1, 0, 4) + socket.inet_aton(one) for one in found
        )  # a pointer to the question's name, the type, the class, the time to live, four bytes
        self._transport.sendto(header + data[_HEADER_BYTES : end + 4] + records, address)


@asynccontextmanager
async def naming(*addresses: str) -> AsyncIterator[NameServer]:
    """A running name server."""
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(addresses), local_addr=("127.0.0.1", 0))
    server.port = transport.get_extra_info("sockname")[1]
    try:
        yield server
    finally:
        transport.close()
