"""Adaptive LIVE sessions step down while a stage is slow, say so, and step up when the load has gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from dance.v1 import frame_pb2, normalize_pb2, pose_pb2, transfer_pb2

from motion.crop import resized
from motion.frame import Picture
from orchestrator.pipeline import in_flight_frame
from orchestrator.session import rung_choice
from serving.observability import metrics
from tests.pipeline.chain import Dancing, Stack, configured, dance, pixels, publish_actor, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, SIDE_PX, ZERO, person
from tests.tiny_wardrobes import tiny_wardrobe

LIVE = transfer_pb2.TRANSFER_MODE_LIVE
REDUCED, RESTARTED = transfer_pb2.FRAME_REMARK_REDUCED, transfer_pb2.FRAME_REMARK_RESTARTED
OWN_PX = 512
RATE_HZ = 10.0
SMALL = normalize_pb2.FrameSize(width_px=256, height_px=256)


class MadeClock:
    """The time of the session's frames. It moves only while the generator draws, by what a drawing costs."""

    def __init__(self, stack: Stack) -> None:
        self.now_s = 1000.0
        self.own_size_seconds = 0.01
        stack.triton.paint = self._paint

    def _paint(self, model: str, label_map: Picture, previous: Picture) -> Picture:
        """Draw; a smaller picture costs less, by its pixels."""
        self.now_s += self.own_size_seconds * label_map.size / (3 * OWN_PX**2)
        return previous + np.uint8(1)


@pytest.fixture
async def stack(tmp_path: Path, settings: dict[str, Any]) -> AsyncIterator[Stack]:
    """An orchestrator with the actor ida, 512x512 with a wardrobe, who can also be drawn smaller."""
    standing = person().transformed(OWN_PX / SIDE_PX, OWN_PX / SIDE_PX)
    publish_actor(tmp_path, "ida", face=False, drawn_px=OWN_PX, wardrobe=tiny_wardrobe([standing], OWN_PX))
    async with stack_of(tmp_path, **settings) as running:
        yield running


@pytest.fixture
def clock(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> MadeClock:
    """Times the session's frames by what the fake generator says that it takes."""
    made = MadeClock(stack)
    for module in (in_flight_frame, rung_choice):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: made.now_s))
    return made


class Camera:
    """Sends the newest frame of a camera whenever the last one is answered, as the client does."""

    def __init__(self, dancing: Dancing, clock: MadeClock) -> None:
        self._dancing = dancing
        self._clock = clock
        self._began_s = clock.now_s
        self._last = -1

    async def next(self) -> transfer_pb2.TransferAnswer:
        """Return the answer to the next frame."""
        newest = int((self._clock.now_s - self._began_s) * RATE_HZ)
        if newest <= self._last:  # the generator is faster than the camera: wait for its next frame
            newest = self._last + 1
            self._clock.now_s = self._began_s + newest / RATE_HZ
        self._last = newest
        await self._dancing.send(raw_frame(newest))
        (answer,) = await self._dancing.answers(1)
        return answer

    async def until(self, rung: int) -> list[transfer_pb2.TransferAnswer]:
        """Dance until an answer was drawn at a rung; return all answers."""
        answers = [await self.next()]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while answers[-1].rung != rung:
                answers.append(await self.next())
        return answers


def raw(**fields: Any) -> transfer_pb2.TransferRequest:
    """The config of a LIVE session of ida."""
    return configured("ida", mode=LIVE, **fields)


def _sizes(answer: transfer_pb2.TransferAnswer) -> tuple[int, int]:
    return answer.picture.width_px, answer.picture.height_px


def _drawn_inputs(stack: Stack, side_px: int, since: int = 0) -> list[Picture]:
    """The previous pictures of a size that were sent to the generator, without those of the warm-up.

    since: the number of calls to leave out.
    """
    previous = [
        np.frombuffer(call.raw_input_contents[1], np.uint8).reshape(side_px, side_px, 3)
        for call in stack.triton.calls[since:]
        if call.inputs[1].shape[1] == side_px
    ]
    return [picture for picture in previous if not (picture == ZERO).all()]


@pytest.mark.settings(watermark=False)
async def test_a_slow_stage_makes_the_session_step_down_and_up_again(stack: Stack, clock: MadeClock) -> None:
    """Each answer says its rung; pictures have its size, poses its detail, and the dance goes on in between."""
    steps = {way: metrics.RUNG_CHANGES.labels(way)._value for way in ("down", "up")}
    downs = steps["down"].get()
    dancing = Dancing(stack.stub)
    await dancing.send(raw(adaptive=True, frame_rate_hz=RATE_HZ))
    accepted = await dancing.accepted()
    rungs = [(rung.pose_detail, rung.picture_size.height_px) for rung in accepted.rungs]
    holistic, live, body = (pose_pb2.POSE_DETAIL_HOLISTIC, pose_pb2.POSE_DETAIL_LIVE, pose_pb2.POSE_DETAIL_BODY)
    assert rungs == [(holistic, 512), (live, 512), (body, 512), (live, 384), (live, 256), (body, 256)]
    assert accepted.config.adaptive
    camera = Camera(dancing, clock)
    calm = [await camera.next() for _ in range(40)]
    assert {answer.rung for answer in calm} == {0}
    clock.own_size_seconds = 0.175  # nearly two frames of the camera
    answers = [*calm, *await camera.until(4)]
    assert stack.pose.configs[-1].detail == live
    for answer in answers:
        assert _sizes(answer) == (rungs[answer.rung][1],) * 2
        assert (REDUCED in answer.remarks) == (answer.rung > 0)
        assert RESTARTED not in answer.remarks
    first = next(index for index, answer in enumerate(answers) if _sizes(answer) == (256, 256))
    first_previous, *_ = _drawn_inputs(stack, 256)
    np.testing.assert_array_equal(first_previous, resized(pixels(answers[first - 1]), 256, 256))
    assert steps["down"].get() > downs
    ups = steps["up"].get()
    clock.own_size_seconds = 0.01
    answers = await camera.until(0)
    assert list(dict.fromkeys(answer.rung for answer in answers)) == [4, 3, 2, 1, 0]
    assert stack.pose.configs[-1].detail == holistic
    assert not any(RESTARTED in answer.remarks for answer in answers)
    await dancing.rest()
    assert steps["up"].get() - ups == 4


async def test_sizes_that_cannot_be_drawn_stay_out(stack: Stack, clock: MadeClock) -> None:
    """If Triton cannot compile a smaller network, the session steps down in detail only, and goes on."""
    stack.triton.refused_sides = {384: grpc.StatusCode.INTERNAL, 256: grpc.StatusCode.INTERNAL}
    clock.own_size_seconds = 0.175
    dancing = Dancing(stack.stub)
    await dancing.send(raw(adaptive=True, frame_rate_hz=RATE_HZ))
    await dancing.accepted()
    camera = Camera(dancing, clock)
    await camera.until(2)
    later = [await camera.next() for _ in range(30)]
    assert {answer.rung for answer in later} == {2}
    await dancing.rest()


async def test_a_fixed_size_is_drawn_from_the_first_frame_on(stack: Stack) -> None:
    """The session is accepted once Triton has compiled the network for it."""
    stack.triton.unloaded = dict.fromkeys(range(3), (grpc.StatusCode.UNAVAILABLE, "it is being compiled; ask again"))
    requests = [raw(picture_size=SMALL), *(raw_frame(t) for t in range(1))]
    accepted, answers = await dance(stack.stub, *requests)
    assert [rung.picture_size for rung in accepted.rungs] == [SMALL]
    assert accepted.config.picture_size == SMALL
    assert [_sizes(answer) for answer in answers] == [(256, 256)]
    assert not any(REDUCED in answer.remarks for answer in answers)
    assert len(stack.triton.calls) == 3 + 1 + 1


@pytest.mark.settings(watermark=False)
async def test_a_smaller_picture_resumes_at_the_best_rung(stack: Stack, clock: MadeClock) -> None:
    """A checkpoint holds the last picture as it was drawn; the resumed session enlarges it and goes on from there."""
    clock.own_size_seconds = 0.175
    dancing = Dancing(stack.stub)
    config: dict[str, Any] = {"adaptive": True, "frame_rate_hz": RATE_HZ, "checkpoint_every_frames": 1}
    await dancing.send(raw(**config))
    await dancing.accepted()
    last = (await Camera(dancing, clock).until(4))[-1]
    await dancing.rest()
    calls = len(stack.triton.calls)
    resumed = raw_frame(last.sequence + 1)
    _, (answer,) = await dance(stack.stub, raw(**config, checkpoint=last.checkpoint), resumed)
    assert answer.rung == 0
    assert RESTARTED not in answer.remarks
    previous = _drawn_inputs(stack, OWN_PX, since=calls)
    np.testing.assert_array_equal(previous[0], resized(pixels(last), OWN_PX, OWN_PX))


@pytest.mark.settings(watermark=False)
async def test_a_background_fits_every_size(stack: Stack) -> None:
    """A person laid over a colour has the size of the rung, and the full frame has the footage's."""
    green = transfer_pb2.Background(colour=transfer_pb2.Colour(green=255))
    _, (answer,) = await dance(stack.stub, raw(picture_size=SMALL, background=green), raw_frame(0))
    assert _sizes(answer) == (256, 256)
    assert (pixels(answer)[0, 0] == (0, 255, 0)).all()
    whole = transfer_pb2.OutputFormat(encoding=frame_pb2.PICTURE_ENCODING_RAW, full_frame=True)
    _, (answer,) = await dance(stack.stub, raw(picture_size=SMALL, output=whole), raw_frame(0))
    assert _sizes(answer) == (96, 80)


@pytest.mark.parametrize("field", [{"adaptive": True}, {"picture_size": SMALL}])
async def test_a_lossless_session_never_changes(stack: Stack, field: dict[str, Any]) -> None:
    """Its pictures are those that the actor was made for, so it refuses both fields by name."""
    dancing = Dancing(stack.stub)
    await dancing.send(configured("ida", **field))
    _, error = await dancing.failure()
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert f"config.{next(iter(field))}" in str(error.details())


async def test_the_list_of_actors_names_the_smaller_sizes(stack: Stack) -> None:
    """A client can show them before a session begins."""
    (listed,) = (await stack.stub.ListActors(transfer_pb2.ListActorsRequest())).actors
    assert [size.height_px for size in listed.smaller_sizes] == [384, 256]
