"""FitBody: the body stats of a whole clip."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from dance.v1 import pose_pb2, transfer_pb2

from motion.body import fit_body, measure_body
from motion.frame import FrameSize
from serving.observability import metrics
from tests.pipeline.chain import Stack, pose_frame, raw_frame, stack_of
from tests.pipeline.fake_stages import PATIENCE_SECONDS, SIDE_PX, person


async def fit(stack: Stack, *frames: transfer_pb2.TransferRequest, **config: Any) -> transfer_pb2.FitBodyResponse:
    call = stack.stub.FitBody()
    with suppress(asyncio.InvalidStateError):  # it has already ended: its status follows
        await call.write(transfer_pb2.FitBodyRequest(config=transfer_pb2.FitBodyConfig(**config)))
        for request in frames:
            await call.write(transfer_pb2.FitBodyRequest(frame=request.frame))
        await call.done_writing()
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await call


async def test_clip_is_fitted_over_all_its_frames(stack: Stack) -> None:
    """Every frame is estimated (body only), client poses count like pictures, and the answer is the two-pass fit."""
    poses = {t: person(20 + t) for t in range(10)}
    stack.pose.script = lambda sequence: poses[sequence] if sequence != 4 else None
    fitted = await fit(stack, *(raw_frame(t) for t in range(9)), pose_frame(9, poses[9]))
    size = FrameSize(SIDE_PX, SIDE_PX)
    expected = fit_body([measure for t in range(10) if t != 4 and (measure := measure_body(poses[t], size))])
    assert (fitted.frames, fitted.frames_with_person) == (10, 9)
    assert fitted.body.near_ankle_y == pytest.approx(expected.near_ankle_y)
    assert fitted.body.hip_x == pytest.approx(expected.hip_x)
    assert fitted.on_the_spot == expected.on_the_spot
    assert stack.pose.configs[0].detail == pose_pb2.POSE_DETAIL_BODY
    assert stack.pose.open_streams == 0


async def test_broken_frame_counts_as_one_without_a_person(stack: Stack) -> None:
    """One picture that cannot be decoded does not spoil the clip."""
    stack.pose.script = lambda sequence: "broken" if sequence == 1 else person()
    fitted = await fit(stack, *(raw_frame(t) for t in range(4)))
    assert (fitted.frames, fitted.frames_with_person) == (4, 3)


async def test_clip_without_a_whole_body_is_an_error(stack: Stack) -> None:
    """FAILED_PRECONDITION, with the number of frames that show a person; likewise for a clip without frames."""
    stack.pose.script = lambda sequence: None
    for frames in ([raw_frame(0), raw_frame(1)], []):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await fit(stack, *frames)
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert f"no whole body was seen in {len(frames)} frames" in caught.value.details()


async def test_clips_are_bounded(tmp_path: Path) -> None:
    """A clip with too many frames, and one that never ends, are refused; both return their place."""
    before = metrics.SESSIONS._value.get()
    async with stack_of(tmp_path, max_fit_frames=2) as stack:
        with pytest.raises(grpc.aio.AioRpcError, match="at most 2 frames") as caught:
            await fit(stack, *(raw_frame(t) for t in range(3)))
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    ends = metrics.SESSION_ENDS.labels("too_long")._value.get()
    async with stack_of(tmp_path, session_seconds=0.05) as stack:
        stack.pose.gates.hold()
        with pytest.raises(grpc.aio.AioRpcError, match="may last") as caught:
            await fit(stack, raw_frame(0))
        stack.pose.gates.release()
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert metrics.SESSION_ENDS.labels("too_long")._value.get() == ends + 1
    assert metrics.SESSIONS._value.get() == before


async def test_failing_pose_stage_is_named(stack: Stack) -> None:
    """As in a transfer, the status names the stage and the frame."""
    stack.pose.dies_at = 2
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await fit(stack, *(raw_frame(t) for t in range(3)))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details().startswith("stage pose failed at frame 2")


async def test_what_is_not_served_is_said(stack: Stack) -> None:
    """UNIMPLEMENTED, with the pose service's message, for a pose backend or dancer rule that it does not have."""
    stack.pose.refuses = "config.backend: is not served here"
    for config in (
        {"pose_backend": pose_pb2.POSE_BACKEND_OPENPOSE},
        {"dancer": pose_pb2.DancerSelection(centre=True)},
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await fit(stack, **config)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
