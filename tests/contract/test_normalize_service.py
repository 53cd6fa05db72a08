"""The normalization service keeps its contract over real gRPC."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import numpy as np
import pytest
from dance.v1 import normalize_pb2, normalize_pb2_grpc
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from motion import skeleton
from motion.pose import Pose
from services.normalize.servicer import NormalizeService
from services.normalize.settings import NormalizeSettings
from serving.rpc import converters
from serving.rpc.channels import CHANNEL_OPTIONS, open_channel
from serving.rpc.error_status import ErrorInterceptor
from serving.rpc.server import SERVER_OPTIONS, running

Stub = normalize_pb2_grpc.NormalizeServiceStub

PATIENCE_SECONDS = 60.0
SIZE = normalize_pb2.FrameSize(width_px=400, height_px=300)
BODY = normalize_pb2.BodyStats(near_ankle_y=0.9, far_ankle_y=0.6, near_height=0.6, far_height=0.3, hip_x=0.5, frames=50)


@asynccontextmanager
async def serving(**settings: float) -> AsyncIterator[Stub]:
    """Serve normalization on a free port, without a process's health and metrics; yield a stub."""
    service = NormalizeService(NormalizeSettings(**settings))  # type: ignore[arg-type]
    server = grpc.aio.server(interceptors=[ErrorInterceptor()], options=SERVER_OPTIONS)
    service.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    try:
        await service.warm_up()
        await server.start()
        # A fixed window of 64 kB, so that a receiver that does not read is detected soon.
        options = (*CHANNEL_OPTIONS, ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 65536))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
            yield Stub(channel)
    finally:
        await server.stop(0)
        await service.close()


def dancer(shift_px: float = 0.0) -> Pose:
    """Return a person standing near, `shift_px` right of the middle."""
    joints = np.zeros((skeleton.JOINT_COUNT, 2), np.float32)
    confidence = np.zeros(skeleton.JOINT_COUNT, np.float32)
    for joint, y_px in (
        (skeleton.NOSE, 90),
        (skeleton.MID_HIP, 180),
        (skeleton.L_ANKLE, 270),
        (skeleton.R_ANKLE, 270),
        (skeleton.R_WRIST, 150),
    ):
        joints[joint] = (200 + shift_px, y_px)
        confidence[joint] = 0.75
    return Pose(joints, confidence)


def config(**changes) -> normalize_pb2.NormalizeRequest:
    """Return a live config that maps BODY onto itself at 60 fps."""
    values = {"target_body": BODY, "target_frame": SIZE, "source_body": BODY, "frame_rate_hz": 60.0}
    return normalize_pb2.NormalizeRequest(config=normalize_pb2.NormalizeConfig(**{**values, **changes}))


def frame(sequence: int, pose: Pose | None, **more) -> normalize_pb2.NormalizeRequest:
    """Return a request with one frame's dancer, or without one."""
    message = None if pose is None else converters.pose_to_proto(pose)
    return normalize_pb2.NormalizeRequest(
        pose_frame=normalize_pb2.PoseFrame(sequence=sequence, size=SIZE, pose=message, **more)
    )


async def answers(stub: Stub, *requests: normalize_pb2.NormalizeRequest) -> list[normalize_pb2.NormalizeResponse]:
    """Return all responses to these requests."""
    return [response async for response in stub.Normalize(iter(requests), timeout=PATIENCE_SECONDS)]


async def read_to_end(stream: grpc.aio.StreamStreamCall) -> None:
    """Read the rest of a stream; raise the error that it ends with."""
    while await stream.read() is not grpc.aio.EOF:
        pass


async def refusal(stub: Stub, *requests: normalize_pb2.NormalizeRequest) -> grpc.aio.AioRpcError:
    """Return the error that these requests end with."""
    stream = stub.Normalize(timeout=PATIENCE_SECONDS)
    for request in requests:
        await stream.write(request)
    if not requests:
        await stream.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await read_to_end(stream)
    return caught.value


async def test_every_pose_is_answered_once_and_in_order():
    """`accepted` comes first, then one answer per frame; a body mapped onto itself is unchanged; all fields are set."""
    async with serving() as stub:
        accepted, first, second = await answers(stub, config(), frame(0, dancer()), frame(4, dancer()))
    assert accepted.accepted == config().config
    assert [first.normalized.sequence, second.normalized.sequence] == [0, 4]
    pose = converters.pose_from_proto(first.normalized.pose)
    np.testing.assert_allclose(pose.joints_px, dancer().joints_px, atol=1e-3)
    answer = first.normalized
    assert answer.transform.scale == pytest.approx(1)
    assert answer.transform.foot_y == pytest.approx(0.9)
    assert answer.transform.hip_x == pytest.approx(0.5)
    assert answer.calibration == normalize_pb2.CALIBRATION_GIVEN
    assert answer.certainty == 1
    assert answer.depth_ratio == pytest.approx(1)
    assert answer.source_body == BODY
    assert answer.compute_seconds > 0
    assert len(answer.state_after) < 12_000


async def test_no_person_is_answered_without_a_pose():
    """No person for longer than joints are held: the answer has no pose, and is not an error."""
    requests = [config(), frame(0, dancer()), *(frame(60 + i, None) for i in range(2))]
    async with serving() as stub:
        _, seen, *nobody = await answers(stub, *requests)
    assert seen.normalized.HasField("pose")
    assert [answer.normalized.HasField("pose") for answer in nobody] == [False, False]
    assert [answer.normalized.sequence for answer in nobody] == [60, 61]


async def test_without_source_stats_the_calibration_runs():
    """The answer has RUNNING, its confidence, and the stats in use."""
    async with serving() as stub:
        request = config()
        request.config.ClearField("source_body")
        _, response = await answers(stub, request, frame(0, dancer()))
    assert response.normalized.calibration == normalize_pb2.CALIBRATION_RUNNING
    assert response.normalized.certainty == 0
    assert response.normalized.on_the_spot
    assert response.normalized.source_body.near_height == pytest.approx(0.6, abs=1e-3)


async def test_look_ahead_delays_the_answers_by_as_many_frames():
    """With a look-ahead of 2, frame 0 is answered after frame 2; the end of the requests answers the rest."""
    async with serving() as stub:
        stream = stub.Normalize(timeout=PATIENCE_SECONDS)
        await stream.write(config(look_ahead_frames=2))
        assert (await stream.read()).accepted.look_ahead_frames == 2
        for sequence in range(3):
            await stream.write(frame(sequence, dancer()))
        assert (await stream.read()).normalized.sequence == 0
        await stream.done_writing()
        assert [(await stream.read()).normalized.sequence for _ in range(2)] == [1, 2]
        assert await stream.read() is grpc.aio.EOF


async def test_another_stream_continues_from_state_after():
    """A new stream with `state_after` answers the next frames exactly as the old one does."""
    frames = [frame(i, dancer(3.0 * i)) for i in range(6)]
    async with serving() as stub:
        _, *unbroken = await answers(stub, config(), *frames)
        accepted, *resumed = await answers(stub, config(state=unbroken[2].normalized.state_after), *frames[3:])
    assert accepted.accepted == config().config
    for response in (*unbroken, *resumed):
        response.normalized.compute_seconds = 0
    assert resumed == unbroken[3:]


async def test_time_stamps_serve_where_the_rate_is_unknown():
    """A rate of 0 needs captured_at in every frame."""
    async with serving() as stub:
        stamped = frame(0, dancer(), captured_at=Timestamp(seconds=5))
        assert len(await answers(stub, config(frame_rate_hz=0.0), stamped)) == 2
        error = await refusal(stub, config(frame_rate_hz=0.0), frame(0, dancer()))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "captured_at" in (error.details() or "")


def without(name: str) -> normalize_pb2.NormalizeRequest:
    """Return the config without one field."""
    request = config()
    request.config.ClearField(name)
    return request


def short_pose() -> normalize_pb2.NormalizeRequest:
    """A pose with three joints."""
    request = frame(3, dancer())
    del request.pose_frame.pose.x_px[3:]
    return request


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([], "config"),
        ([frame(0, None)], "config"),
        ([config(), config()], "request"),
        ([config(), normalize_pb2.NormalizeRequest()], "request"),
        ([without("target_body")], "config.target_body"),
        ([without("target_frame")], "config.target_frame"),
        ([config(target_frame=normalize_pb2.FrameSize(width_px=4))], "config.target_frame"),
        ([config(source_body=normalize_pb2.BodyStats())], "config.source_body"),
        ([config(look_ahead_frames=31)], "config.look_ahead_frames"),
        ([config(frame_rate_hz=-1.0)], "config.frame_rate_hz"),
        ([config(state=b"nonsense")], "config.state"),
        ([config(), frame(3, None), frame(3, None)], "pose_frame.sequence"),
        ([config(), short_pose()], "pose_frame[3].pose"),
    ],
)
async def test_a_broken_contract_is_refused_by_field(requests, field):
    """INVALID_ARGUMENT, with the field's path in the message and in the details."""
    async with serving() as stub:
        error = await refusal(stub, *requests)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(f"{field}:")
    status = rpc_status.from_call(error)
    bad_request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad_request)
    assert bad_request.field_violations[0].field == field


async def test_a_full_service_refuses_and_recovers():
    """Stream N + 1 gets RESOURCE_EXHAUSTED; once a stream has ended, a new one is accepted."""
    async with serving(max_streams=1) as stub:
        first = stub.Normalize(timeout=PATIENCE_SECONDS)
        await first.write(config())
        await first.read()
        assert (await refusal(stub, config())).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        await first.done_writing()
        assert await first.read() is grpc.aio.EOF
        assert len(await answers(stub, config(), frame(0, dancer()))) == 2


async def test_a_silent_sender_is_sent_away():
    """A stream that sends nothing ends with DEADLINE_EXCEEDED."""
    async with serving(idle_seconds=0.05) as stub:
        stream = stub.Normalize(timeout=PATIENCE_SECONDS)
        await stream.write(config())
        await stream.read()
        with pytest.raises(grpc.aio.AioRpcError, match="silent"):
            await stream.read()
        assert await stream.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def admitted(stub: Stub) -> bool:
    """Whether a new stream is accepted now."""
    stream = stub.Normalize(timeout=PATIENCE_SECONDS)
    await stream.write(config())
    try:
        response = await stream.read()
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            return False
        raise
    stream.cancel()
    return bool(response.HasField("accepted"))


async def test_a_receiver_that_never_reads_is_given_up():
    """Unread answers do not pile up: the server ends the stream, and its place is free again."""
    async with serving(idle_seconds=0.25, max_streams=1) as stub:
        stream = stub.Normalize(timeout=30)
        await stream.write(config())
        await stream.read()
        assert not await admitted(stub)

        async def write_on() -> None:
            for sequence in range(1_000_000):
                await stream.write(frame(sequence, dancer()))

        writer = asyncio.create_task(write_on())
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await admitted(stub):
                pass
        stream.cancel()
        with pytest.raises((asyncio.CancelledError, asyncio.InvalidStateError, grpc.aio.AioRpcError)):
            await writer


async def test_who_reads_too_late_still_hears_why():
    """The status follows the answers that a slow receiver has not read yet."""
    async with serving(idle_seconds=0.1, max_streams=1) as stub:
        stream = stub.Normalize(timeout=30)
        await stream.write(config())
        await stream.read()
        # The answers to these fill the window of 64 kB, while the unread requests do not: grpcio forgets
        # the status of a call that ends in the middle of a write.
        for sequence in range(50):
            await stream.write(frame(sequence, dancer()))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await admitted(stub):
                pass
        with pytest.raises(grpc.aio.AioRpcError, match="took no answer") as caught:
            await read_to_end(stream)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_two_streams_do_not_mix():
    """Each stream has its own state."""
    async with serving() as stub:
        one, two = stub.Normalize(timeout=PATIENCE_SECONDS), stub.Normalize(timeout=PATIENCE_SECONDS)
        for stream in (one, two):
            await stream.write(config())
            await stream.read()
        for sequence in range(3):
            for stream, shift_px in ((one, -50.0), (two, 80.0)):
                await stream.write(frame(sequence, dancer(shift_px)))
                pose = converters.pose_from_proto((await stream.read()).normalized.pose)
                assert pose.joints_px[skeleton.NOSE, 0] == pytest.approx(200 + shift_px, abs=0.01)
        for stream in (one, two):
            await stream.done_writing()
            assert await stream.read() is grpc.aio.EOF


async def test_health_says_serving():
    """The health port reports SERVING for the process and for the service."""
    settings = NormalizeSettings()
    async with (
        running(NormalizeService(settings), settings) as server,
        open_channel(f"127.0.0.1:{server.health_port}") as channel,
    ):
        for name in ("", "dance.v1.NormalizeService"):
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("nonsense", [{"max_streams": 0}, {"idle_seconds": 0}, {"hold_seconds": -1}])
def test_nonsense_settings_are_refused_by_name(nonsense):
    """The error names the setting."""
    with pytest.raises(ValueError, match=next(iter(nonsense))):
        NormalizeSettings(**nonsense)


def test_the_process_reports_ready_and_ends_at_sigterm(root):
    """`python -m services.normalize` prints one line on stdout and ends at SIGTERM."""
    with subprocess.Popen(
        [sys.executable, "-m", "services.normalize"],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready name=normalize port=")
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=PATIENCE_SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert out == ""
