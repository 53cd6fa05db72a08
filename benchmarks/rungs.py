"""What does a frame cost at each rung of a live session, and which rungs can hold a camera's rate?

One session for each rung of the actor, all in one stack of real processes. Each in turn gets ten frames of the clip,
one at a time, so nothing is dropped, and all rungs see the same frames on an equally busy machine. The CPU time of each
process is counted, whatever else runs on the machine; a camera of 25 Hz leaves 40 ms of each core for a frame.

`python -m benchmarks.rungs --help`
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from benchmarks.cases import CASES, SAMPLES, make_actor, read_clip
from benchmarks.processes import cpu_seconds
from benchmarks.table import header, row
from client.connection.session import DanceClient, TransferSession
from client.connection.types import Answer, Rung, SentFrame, TransferOptions
from client.local_stack.stack import local_stack
from client.transfer.rungs import rung_name
from motion.frame import Frame
from serving.actors.store import ActorStore

_PROCESSES: Final = ("pose", "generator", "orchestrator", "normalize", "face")
_PATIENT: Final = {f"{name}_IDLE_SECONDS": "3600" for name in ("ORCHESTRATOR", "POSE", "NORMALIZE")}
"""A session waits for its turn."""
_FRAMES_IN_TURN: Final = 10
_WARM_FRAMES: Final = 10
_FRAME_MS: Final = 40.0


def main(
    source: Annotated[Path, typer.Argument(help="The clip to dance.")] = SAMPLES / "source_clip.mp4",
    rounds: Annotated[int, typer.Option(min=1, help="How many times ten frames each rung gets.")] = 10,
    cores: Annotated[int, typer.Option(min=1, help="The cores that a camera's frame may use.")] = os.cpu_count() or 1,
) -> None:
    """Print the CPU milliseconds of a frame at each rung, by process."""
    frames = read_clip(source).frames
    with tempfile.TemporaryDirectory() as folder:
        rungs, spent_ms = asyncio.run(_measured(Path(folder), frames, rounds))
    print(f"{rounds * _FRAMES_IN_TURN} frames at each rung; load {os.getloadavg()[0]:.1f} at the end\n")
    print(header("rung", *(f"{name}, CPU ms" for name in _PROCESSES), "sum", f"of {cores} cores at 25 Hz"))
    for rung, by_process in zip(rungs, spent_ms, strict=True):
        total = sum(by_process.values())
        each = (f"{by_process[name]:.1f}" for name in _PROCESSES)
        print(row(rung_name(rung), *each, f"{total:.1f}", f"{total / (cores * _FRAME_MS):.0%}"))


@dataclass
class _Lockstep:
    """A session that gets a frame only when it is told to."""

    session: TransferSession
    waiting: asyncio.Queue[Frame] = field(default_factory=asyncio.Queue)
    sequence: int = 0
    answers: AsyncGenerator[Answer, None] = field(init=False)

    def __post_init__(self) -> None:
        self.answers = self.session.answers(self._frames())

    async def dance(self, frame: Frame) -> None:
        """Send one frame, and wait for its answer."""
        self.waiting.put_nowait(replace(frame, sequence=self.sequence))
        self.sequence += 1
        answer = await anext(self.answers)
        if answer.picture is None and self.sequence > _WARM_FRAMES:
            raise ValueError(f"frame {answer.sequence} has no picture: {answer.no_picture}")

    async def _frames(self) -> AsyncIterator[SentFrame]:
        while True:
            yield await self.waiting.get()


async def _measured(root: Path, frames: list[Frame], rounds: int) -> tuple[tuple[Rung, ...], list[dict[str, float]]]:
    actor = make_actor(CASES[0], ActorStore(root / "actors"))
    options = TransferOptions(actor=actor.id, live=True, detail=None, adaptive=True, frame_rate_hz=25.0)
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(
            local_stack(root / "actors", root / "logs", settings=_PATIENT, load_at_start=actor.id)
        )
        client = await stack.enter_async_context(DanceClient(services.address))
        async with client.transfer(options) as session:
            rungs = session.accepted.rungs
        dances = []
        for rung in rungs:
            asked = replace(options, adaptive=False, detail=rung.detail, picture_size=rung.picture_size)
            dances.append(_Lockstep(await stack.enter_async_context(client.transfer(asked))))
        for dance in dances:
            for frame in frames[:_WARM_FRAMES]:
                await dance.dance(frame)
        spent_ms: list[dict[str, float]] = [defaultdict(float) for _ in rungs]
        for number in range(rounds):
            shown = [frames[(number * _FRAMES_IN_TURN + i) % len(frames)] for i in range(_FRAMES_IN_TURN)]
            for dance, spent in zip(dances, spent_ms, strict=True):
                before = {name: cpu_seconds(services.pids[name]) for name in _PROCESSES}
                for frame in shown:
                    await dance.dance(frame)
                for name in _PROCESSES:
                    taken_ms = 1000 * (cpu_seconds(services.pids[name]) - before[name])
                    spent[name] += taken_ms / (rounds * _FRAMES_IN_TURN)
    return rungs, spent_ms


if __name__ == "__main__":
    typer.run(main)
