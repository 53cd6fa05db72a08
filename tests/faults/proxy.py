"""A TCP proxy that injects network faults: latency, resets, silence."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Self

HOST = "127.0.0.1"
_PIECE_BYTES = 65536


class FaultProxy:
    """Forwards to `target`, host:port. A context manager; leaving it closes all connections.

    latency_seconds: added to every piece of data, in both directions. `hold` silences all connections, including new
    ones, as a firewall would; `reset` ends them as a crashed host does.
    """

    def __init__(self, target: str = "") -> None:
        self.target = target
        self.latency_seconds = 0.0
        self.accepted = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._near: set[socket.socket] = set()
        self._listener: socket.socket | None = None

    async def __aenter__(self) -> Self:
        # Not an asyncio server: that one does not report connections which it has accepted and not yet handed over.
        self._listener = socket.create_server((HOST, 0))
        self._listener.setblocking(False)
        asyncio.get_running_loop().add_reader(self._listener, self._take_one, self._listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listener is not None
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.reset()
        for near in self._near:
            near.close()
        for _round in range(3):  # an aborted connection closes its socket in one of the loop's next turns
            await asyncio.sleep(0)

    @property
    def address(self) -> str:
        """Its address."""
        assert self._listener is not None
        return f"{HOST}:{self._listener.getsockname()[1]}"

    def hold(self) -> None:
        """Stop all traffic without closing a connection."""
        self._flows.clear()

    def release(self) -> None:
        """Release what was held."""
        self._flows.set()

    def reset(self) -> None:
        """End all connections with a reset."""
        for writer in list(self._writers):
            peer = writer.get_extra_info("socket")
            if peer is not None and peer.fileno() >= 0:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self._writers.clear()

    def _take_one(self, listener: socket.socket) -> None:
        try:
            near, _ = listener.accept()
        except OSError:
            return  # it has already gone
        near.setblocking(False)
        self.accepted += 1
        self._near.add(near)  # until its task, which may be cancelled before it begins, owns it
        self._start(self._connected(near))

    def _start(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connected(self, near: socket.socket) -> None:
        self._near.discard(near)
        reader, writer = await asyncio.open_connection(sock=near)
        self._writers.add(writer)
        host, _, port = self.target.rpartition(":")
        try:
            far_reader, far_writer = await asyncio.open_connection(host, int(port))
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        self._start(self._pump(reader, far_writer))
        self._start(self._pump(far_reader, writer))

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
