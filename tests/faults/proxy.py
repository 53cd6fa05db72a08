"""A TCP proxy that makes the faults of networks: latency, resets, silence."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any, Self

HOST = "127.0.0.1"
_PIECE_BYTES = 65536


class FaultProxy:
    """Stands before `target`, host:port. A context; leaving it ends all connections.

    latency_seconds: added to every piece of data, in both directions. `hold` makes all connections, new ones too, fall
    silent without a word, as a firewall would; `reset` ends them as a crashed host does.
    """

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.latency_seconds = 0.0
        self.accepted = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.reset()
        for _round in range(3):  # an aborted connection closes its socket in one of the loop's next rounds
            await asyncio.sleep(0)

    @property
    def address(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    def hold(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._flows.clear()

    def release(self) -> None:
        """What was held goes on."""
        self._flows.set()

    def reset(self) -> None:
        """Ends all connections with a reset."""
        for writer in list(self._writers):
            peer = writer.get_extra_info("socket")
            if peer is not None and peer.fileno() >= 0:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        host, _, port = self.target.rpartition(":")
        self._writers.add(writer)
        opening: asyncio.Task[Any] | None = asyncio.current_task()
        assert opening is not None
        self._tasks.add(opening)
        opening.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while piece := await source.read(_PIECE_BYTES):
                if self.latency_seconds:
                    await asyncio.sleep(self.latency_seconds)
                await self._flows.wait()
                sink.write(piece)
                await sink.drain()
        except OSError:
            pass
        finally:
            self._writers.discard(sink)
            sink.transport.abort()
