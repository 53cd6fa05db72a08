"""How many bytes does each hop move per frame? A real session with a counting relay in every connection."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path

from benchmarks.cases import Clip, stream
from benchmarks.processes import running
from client.connection.session import DanceClient
from client.connection.types import TransferOptions
from client.local_stack.stack import HOST, LocalStack
from motion.body import BodyStats
from motion.frame import Frame
from serving.actors.store import Actor

FRAMES = 40
_SETUP_FRAMES = 10
"""Frames of the session that is subtracted, so that the connection, config and health checks do not count."""

_PROCESSES = {"POSE": "pose", "NORMALIZE": "normalize", "FACE": "face", "AGENT": "generator"}


class CountingRelay:
    """Forward every connection to `onward` and count the bytes in both directions; an async context manager.

    onward: host:port, or `unix:` and the path of a socket.
    """

    def __init__(self, onward: str) -> None:
        self._onward = onward
        self.there_bytes = 0
        self.back_bytes = 0
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """The address to use instead of `onward`."""
        assert self._server is not None
        return f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> CountingRelay:
        self._server = await asyncio.start_server(self._connected, HOST, 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            if self._onward.startswith("unix:"):
                onward_reader, onward_writer = await asyncio.open_unix_connection(self._onward.removeprefix("unix:"))
            else:
                host, _, port = self._onward.rpartition(":")
                onward_reader, onward_writer = await asyncio.open_connection(host, int(port))
            await asyncio.gather(
                self._pass(reader, onward_writer, back=False), self._pass(onward_reader, writer, back=True)
            )

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        try:
            while data := await reader.read(1 << 18):
                if back:
                    self.back_bytes += len(data)
                else:
                    self.there_bytes += len(data)
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()


async def per_frame(stack: LocalStack, root: Path, actor: Actor, clip: Clip, body: BodyStats) -> dict[str, int]:
    """Return the bytes per frame of each hop, including HTTP/2, with the options of `dance transfer`.

    A second orchestrator uses the stack's services through relays. The result is the difference between a long and a
    short session, divided by the difference of their frames.
    """
    async with AsyncExitStack() as closing:
        onward = {name: f"{HOST}:{stack.ready[process].ports['port']}" for name, process in _PROCESSES.items()}
        onward["TRITON"] = stack.ready["generator"].addresses["triton_address"]
        relays = {name: await closing.enter_async_context(CountingRelay(address)) for name, address in onward.items()}
        environment = {f"ORCHESTRATOR_{name}_ADDRESS": relay.address for name, relay in relays.items()}
        environment["ORCHESTRATOR_ACTORS_ROOT"] = str(root / "actors")
        orchestrator = await closing.enter_async_context(running(root, "orchestrator", **environment))
        front = CountingRelay(orchestrator.address)
        relays = {"CLIENT": await closing.enter_async_context(front), **relays}
        counted = []
        async with DanceClient(front.address) as client:
            for frames in (clip.frames[:_SETUP_FRAMES], clip.frames[:FRAMES]):
                before = {name: (relay.there_bytes, relay.back_bytes) for name, relay in relays.items()}
                await _dance(client, TransferOptions(actor=actor.id, source_body=body, frame_rate_hz=25.0), frames)
                counted.append(
                    {
                        name: (relay.there_bytes - before[name][0], relay.back_bytes - before[name][1])
                        for name, relay in relays.items()
                    }
                )
    few, many = counted
    sizes = {}
    for name, (there, back) in {
        "CLIENT": ("client -> orchestrator (JPEG)", "orchestrator -> client (JPEG)"),
        "POSE": ("orchestrator -> pose (the same JPEG)", "pose -> orchestrator"),
        "NORMALIZE": ("orchestrator -> normalize", "normalize -> orchestrator"),
        "TRITON": ("orchestrator -> generator (two pictures)", "generator -> orchestrator"),
        "FACE": ("orchestrator -> face (two crops)", "face -> orchestrator"),
    }.items():
        for direction, hop in enumerate((there, back)):
            sizes[hop] = round((many[name][direction] - few[name][direction]) / (FRAMES - _SETUP_FRAMES))
    return sizes


async def _dance(client: DanceClient, options: TransferOptions, frames: list[Frame]) -> None:
    async with client.transfer(options) as session:
        async for _ in session.answers(stream(frames)):
            pass
