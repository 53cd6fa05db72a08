"""Clients of every kind that a server meets: each runs one session, well or badly, and checks its answers."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import grpc
import grpc.aio
from dance.v1 import frame_pb2, pose_pb2, transfer_pb2, transfer_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from serving.rpc.channels import open_channel
from tests.faults.dancer import moving_poses
from tests.faults.proxy import FaultProxy

SETTINGS: Final[dict[str, Any]] = {
    "ORCHESTRATOR_MAX_SESSIONS": "6",
    "ORCHESTRATOR_ANSWER_SECONDS": "3",
    "ORCHESTRATOR_CONFIG_SECONDS": "5",
    "ORCHESTRATOR_IDLE_SECONDS": "8",
}
"""Limits low enough to be reached many times in a soak."""

CLIENTS = 3
MAX_SESSIONS = int(SETTINGS["ORCHESTRATOR_MAX_SESSIONS"])
SMALL, LARGE = "small", "large"
"""Actors: of 32 x 32 with a face network, of 256 x 256 without."""

_SESSION_SECONDS = 90.0
_PAUSE_SECONDS = 1.5
_DEAF_SECONDS = 7.0
"""Longer than twice ANSWER_SECONDS."""
_SILENT_SECONDS = 12.0
"""Longer than IDLE_SECONDS."""
_EVERY_FRAMES = 5
_GREETINGS = 200

Frames = Sequence[transfer_pb2.TransferFrame]
Answers = list[transfer_pb2.TransferAnswer]
_Code = grpc.StatusCode


class Unexpected(Exception):
    """A server broke the contract."""


class Full(Exception):
    """The server was full and said when to retry."""


@dataclass
class Tally:
    """The outcomes of the sessions. unexpected: one line each."""

    ended: Counter[str] = field(default_factory=Counter)
    full: int = 0
    frames: int = 0
    unexpected: list[str] = field(default_factory=list)

    @property
    def sessions(self) -> int:
        """The number of sessions that ended, and the number that were refused because the server was full."""
        return sum(self.ended.values()) + self.full + len(self.unexpected)


class Crowd:
    """A number of concurrent clients; each runs one session after another, of a random kind and length.

    pictures: frames of the clip, for sessions that send pictures. The same seed draws the same sessions.
    """

    def __init__(self, address: str, pictures: Frames, seed: int) -> None:
        self.tally = Tally()
        self._address = address
        self._poses = moving_poses(120)
        self._pictures = pictures
        self._chances = [random.Random(f"{seed}/{number}") for number in range(CLIENTS)]

    async def run(self, seconds: float) -> None:
        """Run sessions for this long; return when the last one has ended. The next call continues the draws."""
        until_s = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for chance in self._chances:
                group.create_task(self._client(chance, until_s))

    async def greet(self) -> None:
        """Run short sessions with each actor, some with pictures, so that everything is loaded at its full size."""
        for number in range(_GREETINGS):
            frames = self._pictures[:3] if number % 20 == 0 else self._poses[:3]
            async with open_channel(self._address) as channel:
                await _dance(_call(channel), _config(SMALL if number % 2 else LARGE), frames, 1000.0)

    async def _client(self, chance: random.Random, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        while loop.time() < until_s:
            # Drawn before anything is awaited, so that timing cannot change a draw.
            kind = chance.choices(list(_KINDS), [weight for _, weight in _KINDS.values()])[0]
            own = random.Random(chance.random())
            pause_seconds = chance.expovariate(1 / _PAUSE_SECONDS)
            try:
                async with asyncio.timeout(_SESSION_SECONDS):
                    self.tally.frames += await _KINDS[kind][0](self, own)
                self.tally.ended[kind] += 1
            except Full:
                self.tally.full += 1
            except TimeoutError:
                self.tally.unexpected.append(f"{kind}: no end within {_SESSION_SECONDS:.0f} s")
            except grpc.aio.AioRpcError as error:
                self.tally.unexpected.append(f"{kind}: {error.code().name}, {error.details()}")
            except Unexpected as error:
                self.tally.unexpected.append(f"{kind}: {error}")
            await asyncio.sleep(min(pause_seconds, max(0.0, until_s - loop.time())))

    async def finishing(self, chance: random.Random) -> int:
        """Send poses and read to the end."""
        frames = self._poses[: chance.randint(5, 80)]
        async with open_channel(self._address) as channel:
            look_ahead = chance.choice((0, 0, 4))
            config = _config(chance.choice((SMALL, LARGE)), look_ahead_frames=look_ahead)
            return _whole(await _dance(_call(channel), config, frames, chance.uniform(8, 25)), frames)

    async def live(self, chance: random.Random) -> int:
        """A LIVE session that sometimes sends faster than it reads: drops are answered too."""
        frames = self._poses[: chance.randint(20, 100)]
        async with open_channel(self._address) as channel:
            config = _config(chance.choice((SMALL, LARGE)), mode=transfer_pb2.TRANSFER_MODE_LIVE)
            return _whole(await _dance(_call(channel), config, frames, chance.choice((15, 25, 60))), frames)

    async def filming(self, chance: random.Random) -> int:
        """Send pictures, some of them broken, in which MediaPipe looks for the dancer."""
        start = chance.randrange(len(self._pictures) - 30)
        frames, broken = [], 0
        for sequence, source in enumerate(self._pictures[start : start + chance.randint(8, 24)]):
            frame = transfer_pb2.TransferFrame()
            frame.CopyFrom(source)
            frame.sequence = sequence
            if chance.random() < 0.05:
                frame.picture.data = frame.picture.data[: len(frame.picture.data) // 2]
                broken += 1
            frames.append(frame)
        live = chance.random() < 0.5
        config = _config(
            chance.choice((SMALL, LARGE)),
            mode=transfer_pb2.TRANSFER_MODE_LIVE if live else transfer_pb2.TRANSFER_MODE_LOSSLESS,
            pose_detail=pose_pb2.POSE_DETAIL_LIVE if live else pose_pb2.POSE_DETAIL_HOLISTIC,
        )
        async with open_channel(self._address) as channel:
            answers = await _dance(_call(channel), config, frames, chance.uniform(4, 8))
        drawn = sum(answer.WhichOneof("result") == "picture" for answer in answers)
        if not live and drawn < (len(frames) - broken) / 2:
            raise Unexpected(f"{drawn} of {len(frames)} pictures of a dancer were danced")
        return _whole(answers, frames)

    async def cancelling(self, chance: random.Random) -> int:
        """Leave in the middle."""
        frames, end = self._poses[:100], chance.randint(0, 40)
        async with open_channel(self._address) as channel:
            call = _call(channel)
            answers = await _dance(call, _config(chance.choice((SMALL, LARGE))), frames, chance.uniform(8, 25), end)
            call.cancel()
        return _in_order(answers, frames)

    async def vanishing(self, chance: random.Random) -> int:
        """The client's machine dies: the connection is reset, or falls silent."""
        frames, end = self._poses[:100], chance.randint(0, 40)
        async with FaultProxy(self._address) as proxy, open_channel(proxy.address) as channel:
            config = _config(chance.choice((SMALL, LARGE)))
            answers = await _dance(_call(channel), config, frames, chance.uniform(8, 25), end)
            if chance.random() < 0.5:
                proxy.reset()
            else:
                proxy.hold()
                await asyncio.sleep(_SILENT_SECONDS)
        return _in_order(answers, frames)

    async def deaf(self, chance: random.Random) -> int:
        """Send and do not read, until the server gives up; then read on, or leave."""
        async with open_channel(self._address) as channel:
            call = _call(channel)
            returns = transfer_pb2.ReturnOptions(label_map=True, normalized_pose=True)
            raw = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW)
            await _open(call, _config(LARGE, output=raw, return_options=returns))
            sending = asyncio.create_task(_send(call, self._poses, 30.0))
            try:
                await asyncio.sleep(_DEAF_SECONDS)
                if chance.random() < 0.5:
                    call.cancel()
                    return 0
                answers = []
                while (response := await call.read()) is not grpc.aio.EOF:
                    answers.append(response.answer)
            except grpc.aio.AioRpcError as error:
                _expect(error, _Code.DEADLINE_EXCEEDED, _Code.INTERNAL, _Code.CANCELLED)
                return 0
            finally:
                await _end(sending)
        return _whole(answers, self._poses)  # a machine so slow that all answers were already on their way

    async def resuming(self, chance: random.Random) -> int:
        """Lose the stream from time to time, and resume from the last checkpoint; every frame must be answered."""
        frames, last, checkpoint, behind = self._poses[: chance.randint(30, 90)], -1, b"", -1
        rate_hz, actor = chance.uniform(8, 25), chance.choice((SMALL, LARGE))
        for _ in range(chance.randint(1, 3)):
            async with FaultProxy(self._address) as proxy, open_channel(proxy.address) as channel:
                call, rest = _call(channel), frames[behind + 1 :]
                config = _config(actor, checkpoint_every_frames=_EVERY_FRAMES, checkpoint=checkpoint)
                until = rest[-1].sequence if len(rest) < 3 else chance.randrange(behind + 1, rest[-1].sequence)
                answers = await _dance(call, config, rest, rate_hz, until)
                _in_order(answers, rest)
                for answer in answers:
                    if answer.checkpoint:
                        checkpoint, behind = answer.checkpoint, answer.sequence
                last = max(last, answers[-1].sequence)
                proxy.reset()
        async with open_channel(self._address) as channel:
            config = _config(actor, checkpoint_every_frames=_EVERY_FRAMES, checkpoint=checkpoint)
            rest = frames[behind + 1 :]
            _whole(await _dance(_call(channel), config, rest, rate_hz), rest)
        return len(frames)

    async def refused(self, chance: random.Random) -> int:
        """Request an actor that does not exist, send nothing, or send invalid requests."""
        config, frames, says_something = _config(SMALL), self._poses[:3], True
        expected = _Code.INVALID_ARGUMENT
        match chance.randrange(6):
            case 0:
                config.actor, expected = "nobody", _Code.NOT_FOUND
            case 1:
                config.output.jpeg_quality = 101
            case 2:
                config.checkpoint = chance.randbytes(chance.randint(1, 20_000))
            case 3:
                config.mode, config.look_ahead_frames = transfer_pb2.TRANSFER_MODE_LIVE, 3
            case 4:
                frames = list(reversed(frames))
            case _:
                says_something, expected = False, _Code.DEADLINE_EXCEEDED
        async with open_channel(self._address) as channel:
            call = _call(channel)
            try:
                if says_something:
                    await _dance(call, config, frames, 25.0)
                else:
                    with _fullness():
                        await call.read()
            except grpc.aio.AioRpcError as error:
                _expect(error, expected)
                return 0
        raise Unexpected(f"nothing was refused, {expected.name} was due")

    async def crowding(self, chance: random.Random) -> int:
        """Open more sessions than there are places: as many as fit are accepted, the others get a time to retry."""
        async with open_channel(self._address) as channel:
            calls = [_call(channel) for _ in range(MAX_SESSIONS + 2)]
            told = await asyncio.gather(*(_open(call, _config(SMALL)) for call in calls), return_exceptions=True)
            await asyncio.sleep(chance.uniform(0.0, 0.5))
            for call in calls:
                call.cancel()
        for answer in told:
            if isinstance(answer, BaseException) and not isinstance(answer, Full):
                raise answer
        if sum(isinstance(answer, Full) for answer in told) < 2:
            raise Unexpected(f"{len(calls)} sessions at the same time were all served")
        return 0

    async def fitting(self, chance: random.Random) -> int:
        """Request a body fit."""
        frames = self._poses[: chance.randint(10, 100)]
        async with open_channel(self._address) as channel:
            call = transfer_pb2_grpc.TransferServiceStub(channel).FitBody(wait_for_ready=True)
            with _fullness():
                await call.write(transfer_pb2.FitBodyRequest(config=transfer_pb2.FitBodyConfig()))
                for frame in frames:
                    await call.write(transfer_pb2.FitBodyRequest(frame=frame))
                await call.done_writing()
                answer = await call
        if answer.frames != len(frames):
            raise Unexpected(f"{answer.frames} of {len(frames)} frames were looked at")
        return len(frames)


_KINDS: dict[str, tuple[Callable[[Crowd, random.Random], Awaitable[int]], float]] = {
    "finishing": (Crowd.finishing, 20),
    "live": (Crowd.live, 20),
    "filming": (Crowd.filming, 12),
    "cancelling": (Crowd.cancelling, 12),
    "vanishing": (Crowd.vanishing, 10),
    "deaf": (Crowd.deaf, 6),
    "resuming": (Crowd.resuming, 10),
    "refused": (Crowd.refused, 10),
    "crowding": (Crowd.crowding, 4),
    "fitting": (Crowd.fitting, 4),
}
"""The kinds of clients, and how often each occurs relative to the others."""

KINDS = tuple(_KINDS)


class _fullness:  # noqa: N801 - reads as a function
    """Turn a refusal that says when to retry into Full, and one that does not into Unexpected."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, at: object) -> None:
        if isinstance(error, grpc.aio.AioRpcError) and error.code() is _Code.RESOURCE_EXHAUSTED:
            status = rpc_status.from_call(error)
            if status is None or not any(
                detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details
            ):
                raise Unexpected(f"a refusal without RetryInfo: {error.details()}")
            raise Full


def _call(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamCall:
    # A busy machine may take longer to connect than one attempt may last.
    return transfer_pb2_grpc.TransferServiceStub(channel).Transfer(wait_for_ready=True)


def _config(actor: str, **fields: Any) -> transfer_pb2.TransferConfig:
    return transfer_pb2.TransferConfig(actor=actor, frame_rate_hz=25.0, **fields)


async def _open(call: grpc.aio.StreamStreamCall, config: transfer_pb2.TransferConfig) -> None:
    with _fullness():
        with suppress(asyncio.InvalidStateError):  # already refused; the reader gets the reason
            await call.write(transfer_pb2.TransferRequest(config=config))
        response = await call.read()
    if response is grpc.aio.EOF or response.WhichOneof("response") != "accepted":
        raise Unexpected("a session began without a word")


async def _dance(
    call: grpc.aio.StreamStreamCall,
    config: transfer_pb2.TransferConfig,
    frames: Frames,
    rate_hz: float,
    until: int | None = None,
) -> Answers:
    """Return the answers to the end, or to frame `until`. Raises Full, AioRpcError."""
    await _open(call, config)
    answers: Answers = []
    sending = asyncio.create_task(_send(call, frames, rate_hz))
    try:
        while (response := await call.read()) is not grpc.aio.EOF:
            if response.WhichOneof("response") != "answer":
                raise Unexpected(f"{response.WhichOneof('response')} in mid-session")
            answers.append(response.answer)
            if response.answer.sequence == until:
                break
    finally:
        await _end(sending)
    return answers


async def _send(call: grpc.aio.StreamStreamCall, frames: Frames, rate_hz: float) -> None:
    began_s = asyncio.get_running_loop().time()
    try:
        for count, frame in enumerate(frames):
            await asyncio.sleep(began_s + count / rate_hz - asyncio.get_running_loop().time())
            await call.write(transfer_pb2.TransferRequest(frame=frame))
        await call.done_writing()
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        pass  # the reader gets the status of the call


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _whole(answers: Answers, frames: Frames) -> int:
    """Return the number of frames; Unexpected unless every frame was answered once and in order."""
    if len(answers) != len(frames):
        raise Unexpected(f"{len(answers)} answers to {len(frames)} frames")
    return _in_order(answers, frames)


def _in_order(answers: Answers, frames: Frames) -> int:
    for answer, frame in zip(answers, frames, strict=False):
        if answer.sequence != frame.sequence:
            raise Unexpected(f"an answer to frame {answer.sequence} where frame {frame.sequence} was due")
    return len(answers)


def _expect(error: grpc.aio.AioRpcError, *codes: grpc.StatusCode) -> None:
    if error.code() not in codes:
        due = " or ".join(code.name for code in codes)
        raise Unexpected(f"{error.code().name} where {due} was due: {error.details()}")
