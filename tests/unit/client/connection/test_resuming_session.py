"""A session that loses its streams yields the answers of an unbroken run, each once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from client.connection.resuming_session import Reel, ResumingSession
from client.connection.retry import ServerPatience
from client.connection.session import DanceClient
from client.connection.types import Answer, TransferOptions
from client.errors import ServerError
from motion.frame import EncodedPicture, Frame, PictureEncoding
from serving.errors import UnreadableVideo
from serving.rpc.channels import CHANNEL_OPTIONS
from tests.unit.client.breakable import ACTOR_VERSION, Breakable, Mishap, breakable

FRAMES = 12
EVERY = 5
OPTIONS = TransferOptions(actor="juggler", checkpoint_every_frames=EVERY)
LIVE = TransferOptions(actor="juggler", checkpoint_every_frames=EVERY, live=True)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the first wait two milliseconds."""
    monkeypatch.setattr("client.connection.retry._FIRST_WAIT_SECONDS", 0.002)


def frame(sequence: int) -> Frame:
    return Frame(sequence, EncodedPicture(PictureEncoding.JPEG, 32, 32, b"frame %d" % sequence), sequence / 10)


async def frames(count: int = FRAMES) -> AsyncIterator[Frame]:
    for sequence in range(count):
        yield frame(sequence)


def pixels(answers: list[Answer]) -> list[tuple[int, bytes]]:
    return [(answer.sequence, answer.picture.data) for answer in answers if answer.picture is not None]


async def danced(
    service: Breakable, options: TransferOptions = OPTIONS, source: AsyncIterator[Frame] | None = None, **more
) -> tuple[list[Answer], ResumingSession]:
    patience = ServerPatience(more.pop("patience_seconds", 20), reached=True)
    async with DanceClient(service.address) as client, ResumingSession(client, options, patience, **more) as session:
        answers = [answer async for answer in session.answers(frames() if source is None else source)]
    return answers, session


@pytest.fixture
async def unbroken() -> list[tuple[int, bytes]]:
    async with breakable() as service:
        answers, session = await danced(service)
    assert [answer.sequence for answer in answers] == list(range(FRAMES))
    assert session.reconnects == 0
    return pixels(answers)


@pytest.mark.parametrize("look_ahead_frames", [0, 2])
@pytest.mark.parametrize("what", ["cut", "cut late", "fail", "drain"])
async def test_server_that_goes_at_any_frame_costs_no_frame(unbroken, what, look_ahead_frames):
    """After a reset before or after an answer, a failed stage or a drain, at any index, the next stream continues."""
    options = TransferOptions(actor="juggler", checkpoint_every_frames=EVERY, look_ahead_frames=look_ahead_frames)
    for at in range(FRAMES):
        async with breakable(Mishap(what, at)) as service:
            answers, session = await danced(service, options)
        assert pixels(answers) == unbroken, f"{what} at {at}"
        last_of_all = what == "cut late" and at == FRAMES - 1
        assert session.reconnects == 1 or last_of_all
        if what == "drain":
            assert service.seen_sequences == [list(range(at + 1)), list(range(at, FRAMES))]
            assert service.parted == 1


async def test_each_stream_may_be_lost_in_its_turn(unbroken):
    """Every second frame ends a stream, in a different way each time; only frames after a checkpoint are sent again."""
    mishaps = [Mishap(("cut", "cut late", "fail", "drain")[at // 2 % 4], at) for at in range(0, FRAMES, 2)]
    async with breakable(*mishaps) as service:
        answers, session = await danced(service)
    assert pixels(answers) == unbroken
    assert session.reconnects == len(mishaps)
    assert all(len(sequences) <= EVERY + 4 + 1 for sequences in service.seen_sequences[:-1])


async def test_frames_are_kept_no_longer_than_until_their_checkpoint(monkeypatch):
    """The memory for a long clip is one checkpoint interval and the frames in flight."""
    most = 0

    def watched(reel: Reel, sequence: int, forget=Reel.forget_before) -> None:
        nonlocal most
        most = max(most, len(reel))
        forget(reel, sequence)

    monkeypatch.setattr(Reel, "forget_before", watched)
    async with breakable(max_frames_in_flight=4) as service:
        answers, _ = await danced(service, source=frames(100))
    assert len(answers) == 100
    assert EVERY <= most <= EVERY + 4


async def test_full_server_is_asked_again_when_it_said(unbroken):
    """RESOURCE_EXHAUSTED with RetryInfo, at the first opening or a later one, is reported and waited for."""
    told: list[ServerError | None] = []
    mishaps = (Mishap("full"), Mishap("full"), Mishap("cut", 7), Mishap("full"))
    loop = asyncio.get_running_loop()
    async with breakable(*mishaps, retry_seconds=0.02) as service:
        began = loop.time()
        answers, session = await danced(service, told=told.append)
        assert loop.time() - began >= 0.06
    assert pixels(answers) == unbroken
    assert session.reconnects == 1
    assert [failure is None for failure in told] == [False, False, True, False, False, True]
    assert "all are taken" in str(told[0])


async def test_silent_server_is_left_for_another_stream(unbroken, monkeypatch):
    """A server that owes answers for too long is abandoned, and its frames are sent again."""
    monkeypatch.setattr("client.connection.session._ANSWER_SECONDS", 0.1)
    async with breakable(Mishap("silent", 6)) as service:
        answers, session = await danced(service)
    assert pixels(answers) == unbroken
    assert session.reconnects == 1


async def test_half_open_connection_is_noticed_by_its_pings(unbroken, monkeypatch):
    """If the other side sends neither data nor an end, an unanswered ping soon ends the connection."""
    options: dict[str, Any] = dict(CHANNEL_OPTIONS)
    assert options["grpc.keepalive_time_ms"] == 30_000
    assert max(options["grpc.keepalive_timeout_ms"], options["grpc.http2.ping_timeout_ms"]) <= 20_000
    quick = {name: 100 for name in options if "keepalive" in name or "ping_timeout" in name}
    monkeypatch.setattr("serving.rpc.channels.CHANNEL_OPTIONS", tuple({**options, **quick}.items()))
    async with breakable(Mishap("silent", 6)) as service, breakable() as another:

        async def pull_the_cable() -> None:
            await service.happened.wait()
            service.wire.hush()

        async with (
            DanceClient(service.address) as client,
            ResumingSession(client, OPTIONS, ServerPatience(20, reached=True)) as session,
        ):
            client.address = another.address
            pulling = asyncio.create_task(pull_the_cable())
            answers = [answer async for answer in session.answers(frames())]
            await pulling
    assert pixels(answers) == unbroken
    assert session.reconnects == 1


async def test_newer_version_of_the_actor_does_not_take_over(unbroken):
    """A later stream requests the version that the first one was accepted with."""
    async with breakable(Mishap("cut", 8)) as service:
        await danced(service)
    assert [config.actor_version for config in service.seen_configs] == [0, ACTOR_VERSION]
    assert [bool(config.checkpoint) for config in service.seen_configs] == [False, True]


async def test_refused_checkpoint_ends_a_lossless_session():
    """A refused checkpoint cannot be resumed from, and a retry would not help."""
    async with breakable(Mishap("cut", 8), Mishap("refuse")) as service:
        with pytest.raises(
            ServerError, match=r"cannot resume where the connection was lost: config\.checkpoint: was made"
        ):
            await danced(service)
    assert len(service.seen_configs) == 2


async def test_patience_has_an_end():
    """If the server does not return within the limit, the session ends; the message names the cause and the limit."""
    async with breakable(Mishap("fail", 6), always=True) as service:
        with pytest.raises(ServerError, match=r"stage pose failed at frame 6: it died; tried again for 0\.05 s"):
            await danced(service, patience_seconds=0.05)
    assert len(service.seen_configs) > 2
    async with DanceClient("127.0.0.1:1") as client:
        with pytest.raises(ServerError, match=r"no server answers at 127\.0\.0\.1:1 .*; tried again for 0\.05 s"):
            async with ResumingSession(client, OPTIONS, ServerPatience(0.05, reached=True)):
                pass


async def test_without_checkpoints_only_a_drain_is_survived(unbroken):
    """Without checkpoints a broken connection ends the session; a draining server sends its checkpoint in any case."""
    options = TransferOptions(actor="juggler")
    async with breakable(Mishap("cut", 6)) as service:
        with pytest.raises(ServerError, match=r"no server answers|was lost"):
            await danced(service, options)
    async with breakable(Mishap("drain", 4), Mishap("drain", 4), Mishap("drain", 9)) as service:
        answers, session = await danced(service, options)
    assert pixels(answers) == unbroken
    assert session.reconnects == 3


@pytest.mark.parametrize(
    ("what", "words"), [("wrong drain", "it wants frame 7 next"), ("no checkpoints", "no checkpoint in 10 answers")]
)
async def test_server_that_would_lose_frames_breaks_the_contract(what, words):
    """A drain that skips a frame, and agreed checkpoints that do not arrive, break the contract."""
    async with breakable(Mishap(what, 6)) as service:
        with pytest.raises(ServerError, match=f"broke the contract: {words}"):
            await danced(service)


async def test_frame_that_is_being_taken_when_the_stream_dies_is_not_lost(unbroken):
    """Each frame is taken from the source once, even if there is no stream to send it on."""
    async with breakable(Mishap("cut late", 5)) as service:
        asked: list[int] = []

        async def waiting_source() -> AsyncIterator[Frame]:
            async for each in frames():
                asked.append(each.sequence)
                if each.sequence == 6:
                    await service.happened.wait()
                yield each

        answers, _ = await danced(service, source=waiting_source())
    assert pixels(answers) == unbroken
    assert asked == list(range(FRAMES))


async def test_error_of_the_source_is_no_reason_to_reconnect():
    """The source's error is raised unchanged, even on a later stream: four frames in flight delay it until then."""

    async def torn() -> AsyncIterator[Frame]:
        async for each in frames():
            yield each
        raise UnreadableVideo("the tape is torn")

    async with breakable(Mishap("cut", 6)) as service:
        with pytest.raises(UnreadableVideo, match="the tape is torn"):
            await danced(service, source=torn())
    assert len(service.seen_configs) == 2


async def test_nothing_runs_on_after_a_session_was_left():
    """A session that is left in the middle, or while it reconnects, leaves no tasks behind."""
    before = asyncio.all_tasks()

    def left() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() - before if task.get_name().startswith("transfer ")}

    async with breakable(Mishap("cut", 4)) as service:
        async with (
            DanceClient(service.address) as client,
            ResumingSession(client, OPTIONS, ServerPatience(20, reached=True)) as session,
        ):
            async for answer in session.answers(frames(1000)):
                if answer.sequence == 8:
                    break
        assert left() == set()
    outage = asyncio.Event()
    async with breakable(Mishap("cut", 4), Mishap("full"), retry_seconds=15) as service:
        task = asyncio.create_task(danced(service, told=lambda failure: outage.set()))
        await outage.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert left() == set()


class Camera:
    """A live source: yields a frame when `shows` supplies one, and ends with `ends`."""

    def __init__(self) -> None:
        self._shown: asyncio.Queue[int | None] = asyncio.Queue()

    def shows(self, *sequences: int) -> None:
        for sequence in sequences:
            self._shown.put_nowait(sequence)

    def ends(self) -> None:
        self._shown.put_nowait(None)

    def __aiter__(self) -> Camera:
        return self

    async def __anext__(self) -> Frame:
        sequence = await self._shown.get()
        if sequence is None:
            raise StopAsyncIteration
        return frame(sequence)


@pytest.mark.parametrize("second", ["nothing", "refuse"])
async def test_live_session_goes_on_with_the_newest_frame(second):
    """Frames in flight are lost and counted; the checkpoint is used again, and dropped if it is refused."""
    camera = Camera()
    camera.shows(*range(8))

    def told(failure: ServerError | None) -> None:
        if failure is None:
            camera.shows(20, 21)
            camera.ends()

    async with breakable(Mishap("cut", 6), Mishap(second)) as service:
        answers, session = await danced(service, LIVE, source=camera, told=told)
    before = len(answers) - 2  # an answer that was sent may be lost with the wire
    assert [answer.sequence for answer in answers] == [*range(before), 20, 21]
    assert before <= 6
    assert (session.reconnects, session.lost_frames) == (1, 8 - before)
    assert [bool(config.checkpoint) for config in service.seen_configs[1:]] == [True, False][: 1 + (second == "refuse")]


async def test_frame_that_grew_old_during_an_outage_is_not_sent():
    """A frame taken from the camera while there was no stream counts as lost."""
    camera = Camera()
    camera.shows(0, 1, 2)

    def told(failure: ServerError | None) -> None:
        camera.shows(9) if failure is not None else camera.shows(20)
        if failure is None:
            camera.ends()

    async with breakable(Mishap("cut", 2)) as service:
        answers, session = await danced(service, LIVE, source=camera, told=told)
    assert [answer.sequence for answer in answers] == [*range(len(answers) - 1), 20]
    assert session.lost_frames == 4 - (len(answers) - 1)


async def test_end_of_a_live_source_ends_an_outage():
    """After Ctrl-C during an outage, the session does not reconnect."""
    camera, outage = Camera(), asyncio.Event()
    camera.shows(0, 1, 2)
    async with (
        breakable(Mishap("cut", 2), Mishap("full"), retry_seconds=15) as service,
        DanceClient(service.address) as client,
        ResumingSession(client, LIVE, ServerPatience(60, reached=True), lambda failure: outage.set()) as session,
    ):

        async def stop() -> None:
            await outage.wait()
            session.stop()

        stopping = asyncio.create_task(stop())
        answers = [answer async for answer in session.answers(camera)]
        await stopping
    assert len(answers) <= 2
    assert session.lost_frames == 3 - len(answers)
