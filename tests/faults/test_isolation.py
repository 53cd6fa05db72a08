"""Two hundred concurrent sessions never mix a pixel, a pose or a previous picture."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import transfer_pb2, transfer_pb2_grpc

from motion.frame import Picture
from motion.pose import Pose
from serving.rpc import converters
from tests.pipeline.chain import Stack, configured, pixels, pose_frame, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, ZERO, person

SESSIONS = 200
CALM_SESSIONS = 50
FRAMES = 5


class Painter:
    """Counts in red, writes the label map's id into green and blue, and records foreign previous pictures."""

    def __init__(self) -> None:
        self.known: dict[bytes, int] = {}
        self.foreign: list[str] = []

    def __call__(self, model: str, label_map: Picture, previous: Picture) -> Picture:
        who = self.known.setdefault(label_map.tobytes(), len(self.known))
        colour = (who % 256, who // 256)
        before = tuple(int(level) for level in previous[0, 0, 1:])
        if previous[0, 0, 0] != ZERO and before != colour:
            self.foreign.append(f"{before} before {colour}")
        drawn = previous.copy()
        drawn[..., 0] += 1
        drawn[..., 1:] = colour
        return drawn


def pose_of(number: int) -> Pose:
    """A distinct position for each session."""
    pose = person(16.0 + number % 20)
    return Pose(pose.joints_px + np.array([0, number // 20 - 7], np.float32), pose.confidence)


@pytest.fixture
async def stacks(tmp_path: Path) -> AsyncIterator[tuple[Stack, Stack]]:
    """Two orchestrators that share checkpoints, with one painter."""
    publish_actor(tmp_path / "actors", "ben", face=False)
    key = tmp_path / "keys"
    key.write_text(secrets.token_hex(32))
    painter = Painter()
    # Sessions are told apart by the exact colours of their pictures, which a watermark would change.
    settings = {"checkpoint_key_file": key, "max_sessions": 2 * SESSIONS, "away_seconds": PATIENCE_SECONDS}
    settings["watermark"] = False
    async with stack_of(tmp_path / "actors", **settings) as first, stack_of(tmp_path / "actors", **settings) as second:
        for stack in (first, second):
            stack.triton.paint = painter
            stack.pose.by_picture = lambda data: pose_of(data[0])
        yield first, second


class Dancer:
    """One session that sends solid-coloured pictures, or poses; it may break off, and resume elsewhere."""

    def __init__(self, number: int, stacks: tuple[Stack, Stack], chance: random.Random) -> None:
        self.number = number
        self._stubs = [stack.stub for stack in stacks]
        self._chance = random.Random(chance.random())
        self.answers: list[transfer_pb2.TransferAnswer] = []

    async def dance(self) -> None:
        """Every fifth breaks off in the middle and resumes at the other orchestrator; every seventh gives up."""
        breaks_at = self._chance.randrange(1, FRAMES - 1) if self.number % 5 == 0 else FRAMES
        if self.number % 7 == 0:
            breaks_at = min(breaks_at, FRAMES // 2)
        await self._until(self._stubs[self.number % 2], 0, breaks_at, b"")
        if self.number % 7 and breaks_at < FRAMES:
            checkpoint = self.answers[-1].checkpoint
            await self._until(self._stubs[(self.number + 1) % 2], breaks_at, FRAMES, checkpoint)

    async def _until(
        self, stub: transfer_pb2_grpc.TransferServiceStub, begin: int, end: int, checkpoint: bytes
    ) -> None:
        call = stub.Transfer()
        every = 1 if self.number % 5 == 0 else 0
        returns = transfer_pb2.ReturnOptions(normalized_pose=True)
        try:
            await call.write(
                configured("ben", checkpoint_every_frames=every, checkpoint=checkpoint, return_options=returns)
            )
            await call.read()
            sent = begin
            for expected in range(begin, end):
                while sent < FRAMES and (sent <= expected or (sent - expected < 4 and self._chance.random() < 0.5)):
                    await call.write(self._frame(sent))
                    sent += 1
                response = await call.read()
                assert response is not grpc.aio.EOF
                self.answers.append(response.answer)
                if self._chance.random() < 0.3:
                    await asyncio.sleep(0)
        finally:
            call.cancel()

    def _frame(self, sequence: int) -> transfer_pb2.TransferRequest:
        if self.number % 2:
            return pose_frame(sequence, pose_of(self.number))
        return raw_frame(sequence, self.number)


@pytest.mark.parametrize(
    ("sessions", "disturbed"), [(CALM_SESSIONS, False), (SESSIONS, True)], ids=["calm", "stages stumble"]
)
async def test_sessions_never_see_each_other(stacks: tuple[Stack, Stack], sessions: int, disturbed: bool) -> None:
    """Each has one label map of its own in all of its pictures, counts from its own last one, and gets its own pose."""
    chance = random.Random(11)
    if disturbed:
        for stack in stacks:
            stack.triton.stumbles.at(*chance.sample(range(sessions * FRAMES // 2), 60))
            stack.pose.stumbles.at(*range(1, FRAMES))
            stack.normalize.stumbles.at(*range(0, FRAMES, 2))
    dancers = [Dancer(number, stacks, chance) for number in range(sessions)]
    async with asyncio.timeout(4 * PATIENCE_SECONDS):
        await asyncio.gather(*(dancer.dance() for dancer in dancers))
    painter = stacks[0].triton.paint
    assert isinstance(painter, Painter)
    assert painter.foreign == []
    seen: dict[tuple[int, int], int] = {}
    for dancer in dancers:
        colours = set()
        for t, answer in enumerate(dancer.answers):
            assert answer.sequence == t
            picture = pixels(answer)
            assert (picture == picture[0, 0]).all()
            assert int(picture[0, 0, 0]) == ZERO + 1 + t
            colours.add((int(picture[0, 0, 1]), int(picture[0, 0, 2])))
            got = converters.pose_from_proto(answer.normalized_pose)
            np.testing.assert_array_equal(got.joints_px, pose_of(dancer.number).joints_px)
        assert len(colours) == 1
        assert seen.setdefault(colours.pop(), dancer.number) == dancer.number
    assert len(seen) == sessions
