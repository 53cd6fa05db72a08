"""Commands in containers as containerd runs them, including how it closes their stdin."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from contextlib import suppress


class Exec:
    """A real process. Its stdin closes as soon as its stdout or stderr does, even while others still read and write.

    That is what containerd does to `kubectl exec -i` (containerd issue 13934). An output ends when its last holder
    has ended or has put something else in its place: `exec head >> file` is such a holder.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def of(cls, *command: str) -> Exec:
        """Start the process."""
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE))

    async def write(self, piece: bytes) -> None:
        """Send bytes to it. Bytes after the end of its stdin are silently lost."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(piece)
            await self._process.stdin.drain()

    def end_input(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def ended(self) -> int:
        """Wait for its end, and return its exit code."""
        return await self._process.wait()

    async def result(self) -> tuple[bytes, bytes, int]:
        """Wait for its end, and return its stdout, stderr and exit code."""
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        said = await asyncio.gather(self._all_of(out), self._all_of(err), self.ended())
        return said[0], said[1], said[2]

    async def _all_of(self, output: asyncio.StreamReader) -> bytes:
        read = await output.read()
        self.end_input()
        return read
