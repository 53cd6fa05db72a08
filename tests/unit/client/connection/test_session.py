"""The client's session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
from dance.v1 import actor_pb2
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from client.connection.messages import listing_from_proto
from client.connection.session import DanceClient
from client.connection.types import Answer, PosedFrame, TransferOptions
from client.errors import ServerError, server_errors
from client.transfer.report import TransferReport
from motion import skeleton
from motion.crop import shrunk
from motion.frame import EncodedPicture, Frame, FrameSize, NoPictureReason, PictureEncoding, StageTime
from motion.pose import Pose
from serving.errors import UnreadableVideo
from serving.pictures.codec import encode_picture

PICTURE = encode_picture(np.zeros((32, 32, 3), np.uint8), PictureEncoding.JPEG)


async def frames(count: int, asked: list[int] | None = None) -> AsyncIterator[Frame]:
    for sequence in range(count):
        if asked is not None:
            asked.append(sequence)
        yield Frame(sequence, PICTURE, sequence / 10)


async def test_no_more_frames_are_under_way_than_the_server_allows(serve):
    """The next frame is taken from the source only when an answer has made room for it."""
    asked: list[int] = []
    address = serve(max_frames_in_flight=3).address
    async with DanceClient(address) as client, client.transfer(TransferOptions(actor="juggler")) as session:
        async for answer in session.answers(frames(20, asked)):
            assert len(asked) <= answer.sequence + 1 + 3
    assert asked == list(range(20))


async def test_error_of_the_source_reaches_whoever_reads_the_answers(serve):
    """A video that turns out unreadable ends the session with its own error."""

    async def broken() -> AsyncIterator[Frame]:
        yield Frame(0, PICTURE)
        raise UnreadableVideo("the tape is torn")

    async with DanceClient(serve().address) as client:
        async with client.transfer(TransferOptions(actor="juggler")) as session:
            with pytest.raises(UnreadableVideo, match="the tape is torn"):
                async for _ in session.answers(broken()):
                    pass
        with pytest.raises(UnreadableVideo, match="the tape is torn"):
            await client.fit_body(broken())


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_sources_pose_is_in_answers_with_and_without_a_picture(serve, wanted):
    """A client that requests source poses gets them from a dancer who is not placed yet, too; others get none."""
    pose = Pose(np.full((skeleton.JOINT_COUNT, 2), 7, np.float32), np.ones(skeleton.JOINT_COUNT, np.float32))

    async def source() -> AsyncIterator[PosedFrame]:
        yield PosedFrame(0, pose, FrameSize(32, 32))
        yield PosedFrame(1, None, FrameSize(32, 32))

    options = TransferOptions(actor="juggler", source_poses=wanted)
    async with DanceClient(serve(nobody_placed=True).address) as client, client.transfer(options) as session:
        seen, empty = [answer async for answer in session.answers(source())]
    assert seen.no_picture is NoPictureReason.NOT_PLACED
    assert (seen.source_pose is not None) == wanted
    if seen.source_pose is not None:
        assert np.array_equal(seen.source_pose.joints_px, pose.joints_px)
    assert empty.source_pose is None


async def test_silent_server_ends_the_session(serve, monkeypatch):
    """A server that sends no answer for too long ends the session with an error."""
    monkeypatch.setattr("client.connection.session._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("os.kill", lambda pid, number: None)
    address = serve(interrupt_at=2).address
    async with DanceClient(address) as client, client.transfer(TransferOptions(actor="juggler")) as session:
        with pytest.raises(ServerError, match="silent"):
            async for _ in session.answers(frames(9)):
                pass


async def test_a_server_that_never_ends_the_stream_ends_the_session(serve, monkeypatch):
    """After the last answer, the wait for the end of the stream has the time limit of an answer."""
    monkeypatch.setattr("client.connection.session._ANSWER_SECONDS", 0.2)
    address = serve(never_ends=True).address
    async with DanceClient(address) as client, client.transfer(TransferOptions(actor="juggler")) as session:
        answers = session.answers(frames(3))
        seen = [(await anext(answers)).sequence for _ in range(3)]
        with pytest.raises(ServerError, match="silent"):
            await anext(answers)
    assert seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("fake", "limit"), [("fit_takes_nothing", "_ANSWER_SECONDS"), ("fit_never_answers", "_FIT_SECONDS")]
)
async def test_silent_server_ends_the_measuring_of_a_body(serve, monkeypatch, fake, limit):
    """A server that takes no frames, or sends no answer, ends the call with an error."""
    monkeypatch.setattr(f"client.connection.session.{limit}", 0.2)
    large = EncodedPicture(PictureEncoding.JPEG, 32, 32, bytes(4_000_000))  # more than the connection buffers

    async def clip() -> AsyncIterator[Frame]:
        for sequence in range(20):
            yield Frame(sequence, large if fake == "fit_takes_nothing" else PICTURE)

    async with DanceClient(serve(**{fake: True}).address) as client:
        with pytest.raises(ServerError, match="has been silent for 0 s"):
            await client.fit_body(clip())


async def test_session_that_ends_before_its_frames_is_an_error(serve):
    """A server that ends the session normally before the source has ended is an error, even if it owes no answer."""

    async def slow_source() -> AsyncIterator[Frame]:
        async for frame in frames(4):
            yield frame
        await asyncio.Event().wait()

    address = serve(leaves_after=3).address
    async with DanceClient(address) as client, client.transfer(TransferOptions(actor="juggler")) as session:
        with pytest.raises(ServerError, match="ended the session after 4 frames, before their end"):
            async for _ in session.answers(slow_source()):
                pass


async def test_leaving_early_ends_all_tasks(serve):
    """A consumer that stops early leaves no task running."""
    before = asyncio.all_tasks()
    async with DanceClient(serve().address) as client, client.transfer(TransferOptions(actor="juggler")) as session:
        async for answer in session.answers(frames(1000)):
            if answer.sequence == 3:
                break
    assert {task for task in asyncio.all_tasks() - before if task.get_name().startswith("transfer ")} == set()


@pytest.mark.parametrize("turns", [1, 2, 3])
async def test_a_close_that_is_cancelled_ends_the_sending_task(serve, turns):
    """A second cancellation during the close, some turns of the loop after the first, leaves no task that sends."""
    full = asyncio.Event()

    async def endless() -> AsyncIterator[Frame]:
        async for frame in frames(1000):
            yield frame
            if frame.sequence == 3:  # four are in flight, and one has been answered
                full.set()

    async def run(client: DanceClient) -> None:
        async with client.transfer(TransferOptions(actor="juggler")) as session:
            async for _ in session.answers(endless()):
                await asyncio.Event().wait()

    async with DanceClient(serve().address) as client:
        running = asyncio.create_task(run(client))
        await full.wait()  # the sending task now waits for room
        await asyncio.sleep(0)
        tasks = {task for task in asyncio.all_tasks() if task.get_name() == "transfer frames"}
        running.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait({running})
        _, left = await asyncio.wait(tasks, timeout=1)
        assert not left


def test_shrinking_keeps_the_shape_and_small_pictures():
    """The long side shrinks to the limit; a small picture is returned unchanged."""
    assert shrunk(np.zeros((1920, 1080, 3), np.uint8), 1280).shape == (1280, 720, 3)
    small = np.zeros((10, 20, 3), np.uint8)
    assert shrunk(small, 1280) is small


def test_stage_table_holds_percentiles_in_milliseconds():
    """The table has the median and 95th percentile of each stage's frames, in pipeline order."""
    report = TransferReport()
    for sequence in range(101):
        times = (StageTime("face", sequence / 1000, 0.002, 0.1), StageTime("pose", 0.04, 0.0, 0.05))
        report.add(Answer(sequence, PICTURE, None, "", ("no face",), times, None, 0.1))
    pose, face = report.stages()
    assert (pose.stage, face.stage, face.frames) == ("pose", "face", 101)
    assert face.compute_p50_ms == pytest.approx(50)
    assert face.compute_p95_ms == pytest.approx(95)
    assert face.queue_p95_ms == pytest.approx(2)
    assert report.remarks == {"no face": 101}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (
            "far.example:443",
            "no server answers at far.example:443 through the proxy proxy.example:3128, which http_proxy",
        ),
        ("127.0.0.1:50050", "no server answers at 127.0.0.1:50050 (refused)"),
    ],
)
def test_a_proxy_on_the_way_is_named(monkeypatch: pytest.MonkeyPatch, address: str, words: str):
    """If a server does not answer, the error names the proxy; a local server is called directly."""
    monkeypatch.setenv("http_proxy", "http://me:secret@proxy.example:3128")
    refused = AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "refused")
    with pytest.raises(ServerError) as caught, server_errors(address):
        raise refused
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_server_that_knows_no_filters_and_no_previews_is_listed_all_the_same(serve):
    """Earlier servers ignore the request's fields: the client filters, and leaves what they do not send at its default.

    The fake service answers as they do.
    """
    async with DanceClient(serve().address) as client:
        (juggler,) = await client.actors("juggler", previews=True)
        assert (juggler.version, juggler.consent, juggler.trained_at_s, juggler.scores) == (2, "", None, {})
        assert (juggler.has_preview, juggler.preview) == (False, None)
        assert await client.actors("anna") == await client.actors("juggler", 1) == []


@pytest.mark.parametrize("media_type", ["image/webp", "text/html"])
def test_a_preview_of_another_kind_is_not_passed_on(media_type):
    """What a server calls a preview may end up on a page; only an animated WebP does."""
    summary = actor_pb2.ActorSummary(actor="juggler", actor_version=2, has_preview=True)
    summary.preview.media_type, summary.preview.data = media_type, b"<script>alert(1)</script>"
    assert listing_from_proto(summary).preview is None
