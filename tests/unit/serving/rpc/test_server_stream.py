"""A client's stream at a stage: ordered, bounded, never cancelled."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from serving.errors import AtCapacity, BadInput, StageTimeout
from serving.rpc.server_stream import ServerStream, StreamPlaces


class Client:
    """Sends the given numbers, and takes answers while `reads` is set. Records cancelled reads and writes."""

    def __init__(self, *numbers: int, ends: bool = True) -> None:
        self.numbers = numbers
        self.ends = ends
        self.sent = 0
        self.answers: list[str] = []
        self.cancelled = False
        self.broken = False
        self.began = asyncio.Event()
        self.reads = asyncio.Event()
        self.reads.set()

    async def requests(self) -> AsyncIterator[int]:
        try:
            for number in self.numbers:
                self.sent += 1
                self.began.set()
                yield number
            if not self.ends:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    async def write(self, answer: str) -> None:
        try:
            await self.reads.wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        if self.broken:
            raise ConnectionError("the client has gone")
        self.answers.append(answer)


async def doubled(number: int) -> int:
    """Double a number; refuse 13."""
    if number == 13:
        raise BadInput("number", "13")
    return 2 * number


PATIENT = StreamPlaces("test", max_streams=8, idle_seconds=10)


@asynccontextmanager
async def opened(client: Client, places: StreamPlaces = PATIENT) -> AsyncIterator[ServerStream[int, str]]:
    """Open a stream of doubled numbers."""
    async with places.taken(client.requests(), client.write, doubled, read_ahead=2) as stream:
        yield stream


async def answer_all(stream: ServerStream[int, str]) -> None:
    """Answer each number with its text."""
    while (number := await stream.take()) is not None:
        await stream.send(str(number), number)


async def test_everything_is_answered_in_order_before_the_stream_ends():
    """Requests arrive prepared and in order; on leaving, the client has taken all answers."""
    client = Client(*range(12))
    async with opened(client) as stream:
        await answer_all(stream)
    assert client.answers == [str(2 * number) for number in range(12)]


async def test_what_comes_before_an_error_is_answered():
    """A refused request ends the stream after the answers to earlier requests."""
    client = Client(1, 2, 13, 4)
    with pytest.raises(BadInput, match="13"):
        async with opened(client) as stream:
            await answer_all(stream)
    assert client.answers == ["2", "4"]


async def test_only_a_few_requests_are_read_ahead():
    """While no request is taken, only the allowed number and one more are read."""
    client = Client(*range(100))
    async with opened(client) as stream:
        await stream.take()
        for _ in range(50):
            await asyncio.sleep(0)
        assert client.sent <= 5


async def test_a_silent_client_times_out_and_its_read_continues():
    """A silent client gets StageTimeout for the frame answered last; the read is not cancelled."""
    client = Client(1, ends=False)
    with pytest.raises(StageTimeout, match="frame 2: the sender was silent"):
        async with opened(client, StreamPlaces("test", max_streams=1, idle_seconds=0.02)) as stream:
            await answer_all(stream)
    assert client.answers == ["2"]
    assert not client.cancelled


async def test_who_takes_no_answers_gives_the_place_back_and_keeps_the_write():
    """The place is free before the client reads again; the current write is finished, not cancelled."""
    client = Client(*range(10))
    client.reads.clear()
    places = StreamPlaces("test", max_streams=1, idle_seconds=0.02)

    async def served() -> None:
        async with opened(client, places) as stream:
            await answer_all(stream)

    slow = asyncio.create_task(served())
    await client.began.wait()
    other = Client(1)
    async with asyncio.timeout(60):
        while not other.answers:
            other = Client(1)
            try:
                async with opened(other, places) as stream:
                    await answer_all(stream)
            except AtCapacity:
                await asyncio.sleep(0)
    assert not slow.done()
    client.reads.set()
    with pytest.raises(StageTimeout, match="took no answer"):
        await slow
    assert client.answers == ["0", "2"]
    assert not client.cancelled


async def test_a_full_stage_refuses():
    """AtCapacity is raised once all places are taken; a freed place can be used again."""
    places = StreamPlaces("test", max_streams=1, idle_seconds=10)
    async with opened(Client(), places):
        with pytest.raises(AtCapacity, match="all 1 streams"):
            async with opened(Client(1), places):
                pass
    async with opened(Client(1), places) as stream:
        assert await stream.take() == 2


async def test_a_write_that_fails_ends_the_stream():
    """A failed write stops the work for a client that has gone."""
    client = Client(*range(100))
    client.broken = True
    with pytest.raises(ConnectionError):
        async with opened(client) as stream:
            await answer_all(stream)
    assert client.sent < 20


async def test_reference_cycles_of_a_call_are_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Old reference cycles are collected soon after the call."""
    monkeypatch.setattr("serving.process.memory._SWEEP_AFTER_SECONDS", 0.0)
    client, gone = Client(1), asyncio.Event()

    class Left:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            gone.set()

    left = Left()
    gc.collect()
    places = StreamPlaces("test", max_streams=1, idle_seconds=10)
    async with places.taken(client.requests(), client.write, doubled, read_ahead=1) as stream:
        assert await stream.take() == 2
        del left
    async with asyncio.timeout(60):
        await gone.wait()
