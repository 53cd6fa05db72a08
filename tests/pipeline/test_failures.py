"""How a session ends when a stage fails or falls silent, and what remains of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from serving.observability import metrics
from tests.pipeline.chain import Dancing, Stack, configured, dance, pixels, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, ZERO

UNAVAILABLE, DEADLINE = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED
SHORT_SECONDS = 0.5
"""A time limit that a test waits for."""
IN_TIME_SECONDS = 8.0
"""A time limit that must be met: the work takes milliseconds, but has taken four seconds on a busy machine."""


async def begin(stack: Stack, actor: str = "anna", **fields: Any) -> Dancing:
    dancing = Dancing(stack.stub)
    await dancing.send(configured(actor, **fields))
    await dancing.accepted()
    return dancing


async def left_behind(before: set[asyncio.Task[Any]]) -> None:
    """Wait until every task of the session has ended; a task that stays makes the test time out."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        # A gRPC server keeps tasks of its own, which wait for the next call.
        while ours := [task for task in asyncio.all_tasks() - before if "AioServer" not in repr(task)]:
            await asyncio.wait(ours)


def gauges() -> dict[str, float]:
    """The metrics of running sessions."""
    return {
        "sessions": metrics.SESSIONS._value.get(),
        "frames": metrics.FRAMES_IN_FLIGHT._value.get(),
    }


@pytest.mark.parametrize("stage", ["pose", "normalize", "triton", "face"])
async def test_failing_stage_is_named_after_finished_frames(stack: Stack, stage: str) -> None:
    """A stage dies at frame 4: frames 0 to 3 are delivered, then the status names the stage and the frame."""
    getattr(stack, stage).dies_at = 4
    dancing = await begin(stack)
    for t in range(4):
        await dancing.send(raw_frame(t))
    answers = await dancing.answers(4)
    await dancing.send(raw_frame(4))
    further, error = await dancing.failure()
    name = "generator" if stage == "triton" else stage
    assert [answer.sequence for answer in answers + further] == [0, 1, 2, 3]
    assert error.code() is UNAVAILABLE
    assert error.details().startswith(f"stage {name} failed at frame 4: ")
    assert gauges() == {"sessions": 0, "frames": 0}


async def test_what_triton_says_of_its_files_and_code_stays_on_the_server(
    stack: Stack, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception in Triton contains paths and lines: the client gets the reason, and the log has all of it."""
    said = (
        "Failed to process the request(s) for model 'anna_0_0', message: ValueError: /srv/actors/anna/1/generator.onnx "
        "broke\n\nAt:\n  /tmp/repository/anna/1/model.py(61): execute\n"
    )
    stack.triton.unloaded = dict.fromkeys(range(100), (grpc.StatusCode.INTERNAL, said))
    dancing = await begin(stack)
    await dancing.send(raw_frame(0))
    _, error = await dancing.failure()
    assert error.code() is UNAVAILABLE
    assert error.details() == (
        "stage generator failed at frame 0: INTERNAL: Failed to process the request(s) for model 'anna_0_0', "
        "message: ValueError: generator.onnx broke"
    )
    assert "/tmp/repository/anna/1/model.py(61): execute" in caplog.text


async def test_frames_past_the_failing_stage_are_still_delivered(stack: Stack) -> None:
    """Pose dies at frame 2 while frame 1 is generated and frame 0 has its face refined: both are answered first."""
    stack.pose.dies_at = 2
    stack.face.gates.hold(0)
    stack.triton.gates.hold(1)
    dancing = await begin(stack)
    await dancing.send(raw_frame(0))
    await stack.face.gates.begun(0)
    await dancing.send(raw_frame(1))
    await stack.triton.gates.begun(1)
    await dancing.send(raw_frame(2))
    await stack.pose.gates.begun(2)
    stack.triton.gates.release()
    stack.face.gates.release()
    answers, error = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0, 1]
    assert error.details().startswith("stage pose failed at frame 2: UNAVAILABLE")


async def test_silent_stage_is_a_timeout(tmp_path: Path) -> None:
    """A stage that does not answer a frame in time ends the session with DEADLINE_EXCEEDED."""
    publish_actor(tmp_path, "anna")

    async def silent(stage: str) -> None:
        name = "generator" if stage == "triton" else stage
        async with stack_of(tmp_path, **{f"{name}_seconds": IN_TIME_SECONDS}) as stack:
            getattr(stack, stage).gates.hold(*range(1, 20))
            dancing = await begin(stack)
            await dancing.send(raw_frame(0))
            answers = await dancing.answers(1)
            await dancing.send(raw_frame(1))
            further, error = await dancing.failure()
            getattr(stack, stage).gates.release()
        assert error.code() is DEADLINE
        assert error.details().startswith(f"stage {name} failed at frame 1: ")
        assert [answer.sequence for answer in answers + further] == [0]

    async with asyncio.TaskGroup() as group:  # in parallel, because each one waits for its time-out
        for stage in ("pose", "normalize", "triton", "face"):
            group.create_task(silent(stage))


async def test_look_ahead_does_not_count_as_silence(tmp_path: Path) -> None:
    """Until the client has sent the frames of the look-ahead, no answer from normalize is due, and no time-out runs."""
    publish_actor(tmp_path, "anna")
    before = metrics.STAGE_RETRIES.labels("normalize")._value.get()
    async with stack_of(tmp_path, normalize_seconds=SHORT_SECONDS) as stack:
        dancing = await begin(stack, look_ahead_frames=3)
        await dancing.send(raw_frame(0), raw_frame(1))
        await stack.pose.gates.begun(1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5 * SHORT_SECONDS):
                await asyncio.Event().wait()
        assert metrics.STAGE_RETRIES.labels("normalize")._value.get() == before
        assert [answer.sequence for answer in await dancing.rest()] == [0, 1]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda stack: setattr(stack.triton, "paint", lambda model, label_map, previous: previous[:32]),
        lambda stack: setattr(stack.normalize, "change", lambda answer: setattr(answer, "sequence", 99)),
        lambda stack: setattr(stack.normalize, "change", lambda answer: answer.pose.x_px.pop()),
    ],
    ids=["picture of another size", "answer to another frame", "half a pose"],
)
async def test_nonsense_from_a_stage_ends_the_session(stack: Stack, spoil: Callable[[Stack], None]) -> None:
    """An invalid answer of a stage is that stage's failure, not the client's."""
    spoil(stack)
    dancing = await begin(stack)
    await dancing.send(raw_frame(0))
    answers, error = await dancing.failure()
    assert answers == []
    assert error.code() is UNAVAILABLE
    assert "at frame 0" in error.details()


@pytest.mark.parametrize("stage", ["pose", "normalize", "face", "triton", "agent"])
async def test_unreachable_stage_is_named(tmp_path: Path, stage: str) -> None:
    """If nothing listens at a stage's address, the session ends with that stage's name."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, **{f"{stage}_address": "127.0.0.1:1"}) as stack:
        dancing = Dancing(stack.stub)
        await dancing.send(configured(), raw_frame(0))
        _, error = await dancing.failure()
    name = "generator" if stage in ("triton", "agent") else stage
    assert error.code() is UNAVAILABLE
    assert error.details().startswith(f"stage {name} failed")


@pytest.mark.parametrize("held", ["pose", "normalize", "triton", "face", None])
async def test_cancelling_leaves_nothing(stack: Stack, held: str | None) -> None:
    """If the client goes away while a stage works on a frame, no task, stream or gauge remains."""
    await dance(stack.stub, configured(), raw_frame(0))  # creates what gRPC keeps per connection
    before = asyncio.all_tasks()
    number = {"triton": 1, "face": 1}.get(held or "", 0)
    if held:
        getattr(stack, held).gates.hold()
    dancing = await begin(stack)
    await dancing.send(*(raw_frame(t) for t in range(3)))
    if held:
        await getattr(stack, held).gates.begun(number)
    else:
        await dancing.answers(3)
    assert gauges()["sessions"] == 1
    dancing.call.cancel()
    if held:
        getattr(stack, held).gates.release()
    await left_behind(before)
    assert gauges() == {"sessions": 0, "frames": 0}
    assert (stack.pose.open_streams, stack.normalize.open_streams) == (0, 0)
    assert len((await dance(stack.stub, configured(), raw_frame(0)))[1]) == 1


async def test_failed_session_leaves_nothing(stack: Stack) -> None:
    """A session that a stage has ended leaves no task behind, although its client still has frames to send."""
    await dance(stack.stub, configured(), raw_frame(0))
    before = asyncio.all_tasks()
    stack.triton.dies_at = len(stack.triton.calls)
    dancing = await begin(stack)
    await dancing.send(raw_frame(0), raw_frame(1))
    _, error = await dancing.failure()
    assert error.code() is UNAVAILABLE
    await left_behind(before)
    assert gauges() == {"sessions": 0, "frames": 0}
    assert (stack.pose.open_streams, stack.normalize.open_streams) == (0, 0)


@pytest.mark.slow
async def test_client_that_does_not_read_is_ended(tmp_path: Path) -> None:
    """A client that does not read an answer in time loses its session; nothing waits for it forever."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, answer_seconds=0.2) as stack:
        before = metrics.SESSION_ENDS.labels("client_silent")._value.get()
        dancing = await begin(stack)
        sending = asyncio.create_task(dancing.send(*(raw_frame(t) for t in range(10_000))))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while metrics.SESSION_ENDS.labels("client_silent")._value.get() == before:  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert gauges() == {"sessions": 0, "frames": 0}
        answers, error = await dancing.failure()  # if it reads again later, it receives the status
        with pytest.raises((grpc.aio.AioRpcError, asyncio.InvalidStateError)):
            await sending
    assert [answer.sequence for answer in answers] == list(range(len(answers)))
    # grpcio itself reports INTERNAL to a client whose write meets a call that has just ended.
    assert error.code() in (DEADLINE, grpc.StatusCode.INTERNAL)


async def test_idle_client_is_ended(tmp_path: Path) -> None:
    """A client that is silent while no answer is due loses its session after the idle limit."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, idle_seconds=SHORT_SECONDS) as stack:
        dancing = Dancing(stack.stub)
        await dancing.send(configured(), raw_frame(0))
        await dancing.accepted()
        answers, error = await dancing.failure()
    assert len(answers) == 1
    assert error.code() is DEADLINE
    assert f"it sent nothing for {SHORT_SECONDS} s" in error.details()


async def test_look_ahead_does_not_excuse_silence(tmp_path: Path) -> None:
    """Frames that wait for their look-ahead are not due: a client that is silent then is idle."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, idle_seconds=SHORT_SECONDS) as stack:
        dancing = Dancing(stack.stub)
        await dancing.send(configured(look_ahead_frames=3), raw_frame(0), raw_frame(1))
        await dancing.accepted()
        answers, error = await dancing.failure()
    # The end of the requests ends the look-ahead: the remaining frames are answered.
    assert [answer.sequence for answer in answers] == [0, 1]
    assert error.code() is DEADLINE
    assert f"it sent nothing for {SHORT_SECONDS} s" in error.details()


async def test_session_keeps_its_actor(tmp_path: Path) -> None:
    """An open session renews its actor with the agent regularly, even if nothing is danced."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, renew_actor_seconds=0.01) as stack:
        dancing = await begin(stack)
        await stack.agent.gates.begun(3)
        assert {(asked.actor, asked.actor_version) for asked in stack.agent.asked} == {("anna", 1)}
        stack.agent.refusal = (UNAVAILABLE, "away for a moment")
        await stack.agent.gates.begun(6)
        assert await dancing.rest() == []


@pytest.mark.parametrize(
    "refusal",
    [
        (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'anna' is not found"),
        (UNAVAILABLE, "Request for unknown model: 'anna' version 1 is not at ready state"),
    ],
)
async def test_actor_that_was_unloaded_is_loaded_again(stack: Stack, refusal: tuple[grpc.StatusCode, str]) -> None:
    """If Triton loses the actor during a session, the agent loads it, and the frame is retried."""
    stack.triton.unloaded = {1: refusal}
    _, answers = await dance(stack.stub, configured("ben"), *(raw_frame(t) for t in range(3)))
    assert [int(pixels(answer)[0, 0, 0]) for answer in answers] == [ZERO + 1 + t for t in range(3)]
    assert len(stack.agent.asked) == 2

    stack.triton.unloaded = {len(stack.triton.calls) + n: refusal for n in range(1, 100)}
    dancing = await begin(stack, "ben")
    await dancing.send(raw_frame(0), raw_frame(1))
    answers, error = await dancing.failure()
    assert [answer.sequence for answer in answers] == [0]
    assert error.code() is UNAVAILABLE
    assert error.details().startswith("stage generator failed at frame 1: ")


async def test_client_that_waits_for_its_answer_is_not_idle(tmp_path: Path) -> None:
    """The idle limit does not run while answers are due."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, idle_seconds=SHORT_SECONDS) as stack:
        stack.triton.gates.hold(0)
        dancing = Dancing(stack.stub)
        await dancing.send(configured(), raw_frame(0))
        await dancing.accepted()
        await stack.triton.gates.begun(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5 * SHORT_SECONDS):
                await asyncio.Event().wait()
        stack.triton.gates.release()
        assert [answer.sequence for answer in await dancing.answers(1)] == [0]


async def test_session_that_never_sends_a_config_is_ended(tmp_path: Path) -> None:
    """A client that opens a stream and stays silent keeps its place only for a limited time."""
    async with stack_of(tmp_path, config_seconds=0.05) as stack:
        _, error = await Dancing(stack.stub).failure()
    assert error.code() is DEADLINE


async def test_session_may_not_last_for_ever(tmp_path: Path) -> None:
    """The session limit ends a session that never stops."""
    publish_actor(tmp_path, "anna")
    async with stack_of(tmp_path, session_seconds=0.2) as stack:
        dancing = Dancing(stack.stub)
        await dancing.send(configured())  # it may or may not be accepted before its time is over
        _, error = await dancing.failure()
    assert error.code() is DEADLINE
    assert "a session may last 0.2 s" in error.details()
