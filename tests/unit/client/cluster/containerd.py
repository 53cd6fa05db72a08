"""Commands in containers as containerd runs them, with its way of ending their stdin."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import PIPE, Process
from contextlib import suppress


class Exec:
    """A real process. Its stdin ends as soon as its stdout or its stderr does, whoever still reads and sends.

    That is what containerd does to `kubectl exec -i` (containerd issue 13934). An output ends when its last holder
    has ended or has put something else in its place: `exec head >> file` is such a holder.
    """

    def __init__(self, process: Process) -> None:
        self._process = process

    @classmethod
    async def of(cls, *command: str) -> Exec:
        """It has begun."""
        return cls(await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE))

    async def write(self, piece: bytes) -> None:
        """Gives it bytes. Those behind the end of its stdin are lost without a word."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError, ConnectionResetError):
            self._process.stdin.write(piece)
            await self._process.stdin.drain()

    def end_input(self) -> None:
        """Nothing more is written."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    async def ended(self) -> int:
        """Waits for its end, and returns its exit code."""
        return await self._process.wait()

    async def result(self) -> tuple[bytes, bytes, int]:
        """Its stdout, its stderr and its exit code, once it has ended."""
        out, err = self._process.stdout, self._process.stderr
        assert out is not None
        assert err is not None
        said = await asyncio.gather(self._all_of(out), self._all_of(err), self.ended())
        return said[0], said[1], said[2]

    async def _all_of(self, output: asyncio.StreamReader) -> bytes:
        read = await output.read()
        self.end_input()
        return read
