"""A random session: each frame is answered once, in order, from its own past, whatever happens around it.

The model tracks how many frames were sent, how many were answered, and which picture and which choice of the actor's
limbs the next one is based on.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import deque
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import transfer_pb2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from motion.pose import Pose
from motion.wardrobe.choose import Choice
from motion.wardrobe.draw import draw_reference
from motion.wardrobe.pieces import Wardrobe
from serving.observability import metrics
from serving.pictures.codec import decode_rgba
from serving.pictures.compositing import with_straight_alpha
from serving.rpc import converters
from tests.pipeline.chain import Dancing, Stack, configured, pixels, pose_frame, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, SIDE_PX, ZERO, person
from tests.tiny_wardrobes import tiny_wardrobe, with_arms_turned

Result = TypeVar("Result")
KEPT_FRAMES = 12
"""At 25 Hz the previous picture is kept for half a second; a longer gap restarts from zero."""
_NOTHING_DANCED = (b"", 0, ZERO, 0, None)


@cache
def _wardrobe() -> Wardrobe:
    return tiny_wardrobe([with_arms_turned(person(), angle) for angle in np.linspace(0, 2, 8)], SIDE_PX)


def _pose(sequence: int) -> Pose:
    """The arms swing, so that the choice of limbs changes."""
    return with_arms_turned(person(), 1 - np.cos(sequence / 2))


class SessionMachine(RuleBasedStateMachine):
    """One client of two orchestrators that share a key; every frame is drawn by a painter that counts."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._exit = AsyncExitStack()
        self._dancing: Dancing | None = None
        self._sent: deque[str] = deque()
        """Frames sent and not answered, oldest first: "good", "no_person" or "bad"."""
        self._answered = 0
        self._level = ZERO
        self._drawn_at = 0
        self._limbs: Choice | None = None
        self._checkpoint: tuple[bytes, int, int, int, Choice | None] = _NOTHING_DANCED

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run in the machine's own loop, with a time limit."""

        async def limited() -> Result:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await work

        return self._runner.run(limited())

    @initialize()
    def begin(self) -> None:
        """Start two orchestrators, and a session at the first."""
        self.run(self._begin())

    async def _begin(self) -> None:
        root = Path(self._exit.enter_context(tempfile.TemporaryDirectory()))
        publish_actor(root / "actors", "ben", face=False, wardrobe=_wardrobe())
        (root / "keys").write_text(secrets.token_hex(32))
        # The model knows the exact colours, which a watermark would change.
        chain = {"checkpoint_key_file": root / "keys", "away_seconds": PATIENCE_SECONDS, "watermark": False}
        self._stacks: list[Stack] = [
            await self._exit.enter_async_context(stack_of(root / "actors", **chain)) for _ in range(2)
        ]
        for stack in self._stacks:
            stack.pose.script = self._seen
        await self._open(0)

    def _seen(self, sequence: int) -> Pose | str | None:
        kind = self._kinds[sequence]
        return _pose(sequence) if kind == "good" else None if kind == "no_person" else "broken"

    async def _open(self, where: int) -> None:
        self._where = where
        data, self._answered, self._level, self._drawn_at, self._limbs = self._checkpoint
        self._sent.clear()
        self._kinds: dict[int, str] = {}
        self._dancing = Dancing(self._stacks[where].stub)
        returned = transfer_pb2.ReturnOptions(reference=True)
        config = configured("ben", checkpoint=data, checkpoint_every_frames=1, return_options=returned)
        await self._dancing.send(config)
        await self._dancing.accepted()

    @property
    def _next(self) -> int:
        return self._answered + len(self._sent)

    @precondition(lambda self: self._dancing is not None and len(self._sent) < 4)
    @rule(kind=st.sampled_from(["good", "good", "good", "no_person", "bad"]), as_pose=st.booleans())
    def send(self, kind: str, as_pose: bool) -> None:
        """Send a frame; a bad one can only be a picture."""
        assert self._dancing is not None
        sequence = self._next
        self._kinds[sequence] = kind
        if as_pose and kind != "bad":
            request = pose_frame(sequence, _pose(sequence) if kind == "good" else None)
        else:
            request = raw_frame(sequence)
        self.run(self._dancing.send(request))
        self._sent.append(kind)

    @precondition(lambda self: self._dancing is not None and self._sent)
    @rule()
    def read(self) -> None:
        """The next answer belongs to the oldest frame, and is based on the last picture."""
        assert self._dancing is not None
        (answer,) = self.run(self._dancing.answers(1))
        self._take(answer)

    def _take(self, answer: transfer_pb2.TransferAnswer) -> None:
        kind = self._sent.popleft()
        assert answer.sequence == self._answered
        if kind == "good":
            if self._answered - self._drawn_at > KEPT_FRAMES:
                self._level = ZERO
            self._level = (self._level + 1) % 256
            self._drawn_at = self._answered
            assert int(pixels(answer)[0, 0, 0]) == self._level
            drawn = draw_reference(_wardrobe(), _pose(self._answered), self._limbs)
            self._limbs = drawn.choice
            reference = decode_rgba(converters.picture_from_proto(answer.reference))
            np.testing.assert_array_equal(reference, with_straight_alpha(drawn.picture))
        else:
            reasons = transfer_pb2.NoPictureReason
            expected = "NO_PICTURE_REASON_BAD_FRAME" if kind == "bad" else "NO_PICTURE_REASON_NO_PERSON"
            assert reasons.Name(answer.no_picture.reason) == expected
        self._answered += 1
        self._checkpoint = (answer.checkpoint, self._answered, self._level, self._drawn_at, self._limbs)

    @precondition(lambda self: self._dancing is not None)
    @rule(stage=st.sampled_from(["pose", "normalize", "triton"]), ahead=st.integers(0, 2))
    def stumble(self, stage: str, ahead: int) -> None:
        """A stage will fail once at a later frame."""
        fake = getattr(self._stacks[self._where], stage)
        fake.stumbles.at(len(fake.calls) + ahead if stage == "triton" else self._next + ahead)

    @precondition(lambda self: self._dancing is not None)
    @rule(elsewhere=st.booleans())
    def lose_the_connection(self, elsewhere: bool) -> None:
        """The client resumes from its last checkpoint, here or at the other orchestrator."""
        assert self._dancing is not None
        self._dancing.call.cancel()
        self.run(self._open(1 - self._where if elsewhere else self._where))

    @precondition(lambda self: self._dancing is not None)
    @rule()
    def drain(self) -> None:
        """The orchestrator answers the frames in flight and says where to resume; the client resumes elsewhere."""
        assert self._dancing is not None
        old = self._stacks[self._where]
        self.run(old.service.drain())

        async def rest() -> transfer_pb2.Draining:
            assert self._dancing is not None
            while (response := await self._dancing.call.read()) is not grpc.aio.EOF:
                if response.WhichOneof("response") == "draining":
                    await self._dancing.call.done_writing()  # or the stream would keep its place for a second
                    assert await self._dancing.call.read() is grpc.aio.EOF
                    return response.draining
                self._take(response.answer)
            raise AssertionError("the stream ended without draining")

        last = self.run(rest())
        assert last.next_sequence == self._answered
        if self._answered:
            self._checkpoint = (last.checkpoint, *self._checkpoint[1:])
        old.service._draining = False  # like a new process
        self.run(self._open(1 - self._where))

    @precondition(lambda self: self._dancing is not None)
    @rule()
    def end(self) -> None:
        """The client half-closes: the rest is answered. Then it begins a new dance."""
        assert self._dancing is not None
        for answer in self.run(self._dancing.rest()):
            self._take(answer)
        assert not self._sent
        self._checkpoint = _NOTHING_DANCED
        self.run(self._open(self._where))

    @invariant()
    def frames_in_flight_are_bounded(self) -> None:
        """Never more frames than were sent."""
        assert 0 <= metrics.FRAMES_IN_FLIGHT._value.get() <= 64

    def teardown(self) -> None:
        """Nothing of any session remains."""
        try:
            if self._dancing is not None:
                self._dancing.call.cancel()
                self.run(self._settled())
        finally:
            self.run(self._exit.aclose())
            self._runner.close()

    async def _settled(self) -> None:
        while metrics.SESSIONS._value.get() or metrics.FRAMES_IN_FLIGHT._value.get():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


_CHECKS = [HealthCheck.too_slow, HealthCheck.filter_too_much]
QUICK = settings(
    max_examples=15, stateful_step_count=15, deadline=None, derandomize=True, suppress_health_check=_CHECKS
)
LONG = settings(max_examples=300, stateful_step_count=40, deadline=None, suppress_health_check=_CHECKS)


class TestSession(SessionMachine.TestCase):  # type: ignore[valid-type, misc]
    """A few dances, the same ones each time."""

    settings = QUICK


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestSessionAtLength(SessionMachine.TestCase):  # type: ignore[valid-type, misc]
    """Many dances, different ones each time."""

    settings = LONG
